//! The answers of Anthropic's API as tables, which document them. That answers are as they say is a test's to hold.

use crate::wire::table::{COUNT, Field, Kind, Table};

const TYPE: &str = "What it is.";

pub(crate) static MESSAGE: Table = Table {
    name: "Message",
    plural: "answers",
    about: "The answer to a conversation. It can be sent back as it is, as the assistant's turn.",
    fields: &[
        Field::new("id", Kind::Text, "Its name, which no other answer has.").required(),
        Field::new("type", Kind::Word(&["message"]), TYPE).required(),
        Field::new("role", Kind::Word(&["assistant"]), "Who speaks.").required(),
        Field::new("model", Kind::Text, "The model that answers.").required(),
        Field::new("content", Kind::List(&BLOCK, 0, usize::MAX), "What the model thought, said and calls; empty where a stream begins.")
            .required(),
        STOP_REASON,
        STOP_SEQUENCE,
        Field::new("usage", Kind::Object(&USAGE), "Tokens; all 0 where a stream begins.").required(),
    ],
    open: false,
};

const STOP_REASON: Field = Field::new(
    "stop_reason",
    Kind::Word(&["end_turn", "stop_sequence", "max_tokens", "model_context_window_exceeded", "tool_use"]),
    "Why it ended.",
);
const STOP_SEQUENCE: Field = Field::new("stop_sequence", Kind::Text, "The one of 'stop_sequences' that ended it.");

static BLOCK: Kind = Kind::Tagged("type", &[("thinking", &THINKING), ("text", &TEXT), ("tool_use", &TOOL_USE)]);

static THINKING: Table = Table {
    name: "AnswerThinkingBlock",
    plural: "blocks",
    about: "What the model thought, where 'thinking' asks for it.",
    fields: &[
        Field::new("type", Kind::Word(&["thinking"]), TYPE).required(),
        Field::new("thinking", Kind::Text, "The text; empty where it is not to be told, and where a stream begins.").required(),
        Field::new("signature", Kind::Text, "For clients that send no thinking back that has none.").required(),
    ],
    open: false,
};

static TEXT: Table = Table {
    name: "AnswerTextBlock",
    plural: "blocks",
    about: "What the model said.",
    fields: &[Field::new("type", Kind::Word(&["text"]), TYPE).required(), Field::new("text", Kind::Text, "The text.").required()],
    open: false,
};

static TOOL_USE: Table = Table {
    name: "AnswerToolUseBlock",
    plural: "blocks",
    about: "A call that the model makes.",
    fields: &[
        Field::new("type", Kind::Word(&["tool_use"]), TYPE).required(),
        Field::new("id", Kind::Text, "What the tool's answer is to be sent back with.").required(),
        Field::new("name", Kind::Text, "The tool.").required(),
        Field::new("input", Kind::Any, "What it is called with, which the tool's 'input_schema' holds; empty where a stream begins.")
            .required(),
    ],
    open: false,
};

static USAGE: Table = Table {
    name: "MessageUsage",
    plural: "objects",
    about: "Tokens of an answer. Those of the prompt are the sum of the first three.",
    fields: &[
        Field::new("input_tokens", COUNT, "Those of the prompt that were computed.").required(),
        Field::new("cache_creation_input_tokens", COUNT, "Always 0: what is kept for later is nobody's to pay.").required(),
        Field::new("cache_read_input_tokens", COUNT, "Those of the prompt that were there from before.").required(),
        Field::new("output_tokens", COUNT, "Those of the answer, thinking among them.").required(),
        Field::new("output_tokens_details", Kind::Object(&DETAILS), "What the answer's are.").required(),
    ],
    open: false,
};

static DETAILS: Table = Table {
    name: "MessageOutputTokensDetails",
    plural: "objects",
    about: "What an answer's tokens are.",
    fields: &[Field::new("thinking_tokens", COUNT, "Those of the thinking.").required()],
    open: false,
};

pub(crate) static EVENT: Table = Table {
    name: "MessageEvent",
    plural: "events",
    about: "An event of a streamed answer, whose name is its type: message_start, then for each block its start, deltas and stop, then message_delta and message_stop.",
    fields: &[
        Field::new(
            "type",
            Kind::Word(&[
                "message_start",
                "ping",
                "content_block_start",
                "content_block_delta",
                "content_block_stop",
                "message_delta",
                "message_stop",
                "error",
            ]),
            TYPE,
        )
        .required(),
        Field::new("message", Kind::Object(&MESSAGE), "Of message_start: the answer, still empty."),
        Field::new("index", COUNT, "Of a block's events: which block."),
        Field::new("content_block", BLOCK, "Of content_block_start: the block, still empty."),
        Field::new("delta", Kind::Object(&DELTA), "Of content_block_delta: more of the block; of message_delta: why the answer ended."),
        Field::new("usage", Kind::Object(&USAGE), "Of message_delta: all tokens."),
        Field::new("error", Kind::Object(&ERROR_DETAIL), "Of error: why the answer breaks off."),
    ],
    open: false,
};

static DELTA: Table = Table {
    name: "MessageDelta",
    plural: "objects",
    about: "What an event adds.",
    fields: &[
        Field::new(
            "type",
            Kind::Word(&["thinking_delta", "signature_delta", "text_delta", "input_json_delta"]),
            "What a block goes on with.",
        ),
        Field::new("thinking", Kind::Text, "Of thinking_delta."),
        Field::new("signature", Kind::Text, "Of signature_delta."),
        Field::new("text", Kind::Text, "Of text_delta."),
        Field::new("partial_json", Kind::Text, "Of input_json_delta: of the JSON text of a call's input."),
        STOP_REASON,
        STOP_SEQUENCE,
    ],
    open: false,
};

pub(crate) static COUNTED: Table = Table {
    name: "TokensCount",
    plural: "answers",
    about: "How long what the model reads of a conversation is.",
    fields: &[Field::new("input_tokens", COUNT, "Tokens, those of the template among them.").required()],
    open: false,
};

pub(crate) static ERROR: Table = Table {
    name: "MessageError",
    plural: "errors",
    about: "A refusal of Anthropic's API.",
    fields: &[
        Field::new("type", Kind::Word(&["error"]), TYPE).required(),
        Field::new("error", Kind::Object(&ERROR_DETAIL), "The reason.").required(),
    ],
    open: false,
};

static ERROR_DETAIL: Table = Table {
    name: "MessageErrorDetail",
    plural: "errors",
    about: "The reason of a refusal.",
    fields: &[
        Field::new(
            "type",
            Kind::Word(&[
                "invalid_request_error",
                "authentication_error",
                "permission_error",
                "not_found_error",
                "request_too_large",
                "rate_limit_error",
                "timeout_error",
                "overloaded_error",
                "api_error",
            ]),
            "What kind of fault it is.",
        )
        .required(),
        Field::new("message", Kind::Text, "What is wrong, and what would be right.").required(),
    ],
    open: false,
};
