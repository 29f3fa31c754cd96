//! The answers of this API as tables, which document them. That answers are as they say is a test's to hold.

use super::request;
use crate::{
    openai::schemas::TOKEN,
    wire::table::{COUNT, Field, Kind, REAL, Table},
};

const STATUS: Kind = Kind::Word(&["in_progress", "completed", "incomplete", "failed"]);

pub(crate) static RESPONSE: Table = Table {
    name: "Response",
    plural: "responses",
    about: "An answer, with what it was asked for.",
    fields: &[
        Field::new("id", Kind::Text, "Its name, by which it can be asked for and gone on from where it is kept.").required(),
        Field::new("object", Kind::Word(&["response"]), "What it is.").required(),
        Field::new("created_at", COUNT, "When it began, in Unix seconds.").required(),
        Field::new("completed_at", COUNT, "When it was complete, in Unix seconds."),
        Field::new("status", STATUS, "Whether it is whole; 'incomplete' is one that the limit of tokens ended.").required(),
        Field::new("background", Kind::Flag, "Always false.").required(),
        Field::new("error", Kind::Object(&FAILURE), "Why it failed."),
        Field::new("incomplete_details", Kind::Object(&INCOMPLETE), "Why it is not whole."),
        Field::new("instructions", Kind::Text, "As they were sent."),
        Field::new("max_output_tokens", COUNT, "As it was sent."),
        Field::new("max_tool_calls", COUNT, "Always null."),
        Field::new("model", Kind::Text, "The model that answers.").required(),
        Field::new("output", Kind::List(&Kind::Object(&ITEM), 0, usize::MAX), "What it thought, said and called, in order.").required(),
        Field::new("parallel_tool_calls", Kind::Flag, "As it was sent.").required(),
        Field::new("previous_response_id", Kind::Text, "The response that it goes on from."),
        Field::new("conversation", Kind::Object(&request::CONVERSATION), "The conversation that it goes on with."),
        Field::new("reasoning", Kind::Object(&REASONING), "As it was sent.").required(),
        Field::new("service_tier", Kind::Word(&["default"]), "Always 'default'.").required(),
        Field::new("store", Kind::Flag, "Whether it is kept.").required(),
        Field::new("temperature", REAL, "As it was sent.").required(),
        Field::new("text", Kind::Object(&TEXT), "What the text is held to.").required(),
        Field::new("tool_choice", Kind::OneOf(&[Kind::Text, Kind::Map(&Kind::Any)]), "As it was sent.").required(),
        Field::new("tools", Kind::List(&Kind::Map(&Kind::Any), 0, usize::MAX), "As they were sent.").required(),
        Field::new("top_logprobs", COUNT, "As it was sent.").required(),
        Field::new("top_p", REAL, "As it was sent.").required(),
        Field::new("truncation", Kind::Word(&["auto", "disabled"]), "As it was sent.").required(),
        Field::new("usage", Kind::Object(&USAGE), "Its tokens, once it is whole."),
        Field::new("metadata", Kind::Map(&Kind::Text), "As it was sent.").required(),
    ],
    open: false,
};

static FAILURE: Table = Table {
    name: "ResponseError",
    plural: "errors",
    about: "Why a response failed.",
    fields: &[
        Field::new("code", Kind::Word(&["server_error", "invalid_prompt"]), "A stable word for programs.").required(),
        Field::new("message", Kind::Text, "The reason.").required(),
    ],
    open: false,
};

static INCOMPLETE: Table = Table {
    name: "IncompleteDetails",
    plural: "details",
    about: "Why a response is not whole.",
    fields: &[Field::new("reason", Kind::Word(&["max_output_tokens"]), "The limit of tokens, or the model's context, ended it.").required()],
    open: false,
};

static REASONING: Table = Table {
    name: "ResponseReasoning",
    plural: "options",
    about: "How a model that thinks does so.",
    fields: &[Field::new("effort", Kind::Text, "As it was sent."), Field::new("summary", Kind::Text, "Always null.")],
    open: false,
};

static TEXT: Table = Table {
    name: "ResponseText",
    plural: "options",
    about: "What the text is held to.",
    fields: &[Field::new("format", Kind::Map(&Kind::Any), "As it was sent.").required()],
    open: false,
};

static USAGE: Table = Table {
    name: "ResponseUsage",
    plural: "counts",
    about: "Tokens of a response.",
    fields: &[
        Field::new("input_tokens", COUNT, "Of what was sent and what came before it.").required(),
        Field::new("input_tokens_details", Kind::Object(&INPUT_DETAILS), "More about the first.").required(),
        Field::new("output_tokens", COUNT, "Of the answer.").required(),
        Field::new("output_tokens_details", Kind::Object(&OUTPUT_DETAILS), "More about the second.").required(),
        Field::new("total_tokens", COUNT, "Both.").required(),
    ],
    open: false,
};

static INPUT_DETAILS: Table = Table {
    name: "InputTokensDetails",
    plural: "counts",
    about: "Tokens of what was sent.",
    fields: &[
        Field::new("cached_tokens", COUNT, "Those that were not computed again.").required(),
        Field::new("cache_write_tokens", COUNT, "Always 0: nothing is billed.").required(),
    ],
    open: false,
};

static OUTPUT_DETAILS: Table = Table {
    name: "OutputTokensDetails",
    plural: "counts",
    about: "Tokens of the answer.",
    fields: &[Field::new("reasoning_tokens", COUNT, "Those that were thinking.").required()],
    open: false,
};

pub(crate) static ITEM: Table = Table {
    name: "ResponseItem",
    plural: "items",
    about: "A message, a call, what a function answered, or thinking. It can be sent back as it is.",
    fields: &[
        Field::new("id", Kind::Text, "Its name.").required(),
        Field::new("type", Kind::Word(&["message", "function_call", "function_call_output", "reasoning"]), "What it is.").required(),
        Field::new("status", STATUS, "Whether it is whole.").required(),
        Field::new("role", Kind::Word(&["user", "assistant", "system", "developer"]), "Of a message: who says it."),
        Field::new("content", Kind::List(&Kind::Object(&PART), 0, usize::MAX), "Of a message and of thinking: what it says."),
        Field::new("summary", Kind::List(&Kind::Object(&PART), 0, usize::MAX), "Of thinking: as it was sent; none is made here."),
        Field::new("call_id", Kind::Text, "Of a call and of its output: what they know each other by."),
        Field::new("name", Kind::Text, "Of a call: the function."),
        Field::new("arguments", Kind::Text, "Of a call: JSON text, which the function's 'parameters' hold."),
        Field::new("output", Kind::Text, "Of a call's output: what the function answered."),
    ],
    open: false,
};

static PART: Table = Table {
    name: "ResponsePart",
    plural: "parts",
    about: "A text, or a refusal.",
    fields: &[
        Field::new("type", Kind::Word(&["input_text", "output_text", "refusal", "reasoning_text", "summary_text"]), "What it is.")
            .required(),
        Field::new("text", Kind::Text, "The text."),
        Field::new("refusal", Kind::Text, "Of a refusal."),
        Field::new("annotations", Kind::List(&Kind::Any, 0, 0), "Always empty."),
        Field::new("logprobs", LOGPROBS, "How likely the text's tokens were, where they are asked for. They are not kept."),
    ],
    open: false,
};

const LOGPROBS: Kind = Kind::List(&Kind::Object(&TOKEN), 0, usize::MAX);

pub(crate) static ITEMS: Table = Table {
    name: "ResponseItems",
    plural: "lists",
    about: "A page of items.",
    fields: &[
        Field::new("object", Kind::Word(&["list"]), "What it is.").required(),
        Field::new("data", Kind::List(&Kind::Object(&ITEM), 0, usize::MAX), "The items.").required(),
        Field::new("first_id", Kind::Text, "The first's name."),
        Field::new("last_id", Kind::Text, "The last's name, after which the next page begins."),
        Field::new("has_more", Kind::Flag, "Whether there is a next page.").required(),
    ],
    open: false,
};

pub(crate) static DELETED: Table = Table {
    name: "ResponseDeleted",
    plural: "answers",
    about: "That a response is gone.",
    fields: &[
        Field::new("id", Kind::Text, "Its name.").required(),
        Field::new("object", Kind::Word(&["response"]), "What it was.").required(),
        Field::new("deleted", Kind::Flag, "Always true.").required(),
    ],
    open: false,
};

pub(crate) static EVENT: Table = Table {
    name: "ResponseEvent",
    plural: "events",
    about: "One event of a streamed response, whose name is its type. The last is 'response.completed', 'response.incomplete' or 'response.failed', and has all of it.",
    fields: &[
        Field::new(
            "type",
            Kind::Word(&[
                "response.created",
                "response.in_progress",
                "response.output_item.added",
                "response.content_part.added",
                "response.reasoning_text.delta",
                "response.reasoning_text.done",
                "response.output_text.delta",
                "response.output_text.done",
                "response.content_part.done",
                "response.function_call_arguments.delta",
                "response.function_call_arguments.done",
                "response.output_item.done",
                "response.completed",
                "response.incomplete",
                "response.failed",
            ]),
            "What it is.",
        )
        .required(),
        Field::new("sequence_number", COUNT, "Which of the events, from 0.").required(),
        Field::new("response", Kind::Object(&RESPONSE), "The response as it stands, of the events that tell how it stands."),
        Field::new("output_index", COUNT, "Which of the items."),
        Field::new("item_id", Kind::Text, "The item's name."),
        Field::new("item", Kind::Object(&ITEM), "The item, as it begins or whole."),
        Field::new("content_index", COUNT, "Which of the item's parts; always 0."),
        Field::new("part", Kind::Object(&PART), "The part, as it begins or whole."),
        Field::new("delta", Kind::Text, "What is added."),
        Field::new("text", Kind::Text, "The whole text."),
        Field::new("name", Kind::Text, "Of a whole call: the function."),
        Field::new("arguments", Kind::Text, "Of a whole call: its arguments' JSON text."),
        Field::new("logprobs", LOGPROBS, "Of the tokens behind the text, where they are asked for."),
    ],
    open: false,
};
