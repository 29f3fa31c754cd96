//! How calls of tools are written, as data: one form serves the parser, the grammar and the text of a call in the history, so that the three agree.

use serde_json::{Map, Value};

/// How a family of models writes calls. In the texts `{name}` stands for the tool, `{id}` for letters and digits that say which call it is, and `{index}` for its
/// number. Whitespace stands where the family's templates write it; what is read may have other.
#[derive(Debug)]
pub(super) struct Format {
    pub(super) name: &'static str,
    /// What a template says that describes the form without writing it; empty where templates write it.
    pub(super) hints: &'static [&'static str],
    /// Where it appears a call follows. Empty: an answer that begins with `{` is a call.
    pub(super) marker: &'static str,
    /// What may precede a call that begins an answer.
    pub(super) tag: &'static str,
    /// Before the first call.
    pub(super) before: &'static str,
    /// Before the arguments of a call.
    pub(super) open: &'static str,
    pub(super) arguments: Arguments,
    /// After the arguments: the first is written, each is read.
    pub(super) close: &'static [&'static str],
    /// Between calls.
    pub(super) between: &'static str,
    /// After the last.
    pub(super) after: &'static str,
    /// Whether an answer may have several.
    pub(super) many: bool,
}

/// How arguments are written.
#[derive(Debug)]
pub(super) enum Arguments {
    /// As a JSON object.
    Json,
    /// An element for each argument: strings as they are, everything else as JSON.
    Tags(Tags),
}

/// `open` key `middle` value `close`.
#[derive(Debug)]
pub(super) struct Tags {
    pub(super) open: &'static str,
    pub(super) middle: &'static str,
    /// In place of `middle` before what is no string.
    pub(super) middle_json: &'static str,
    pub(super) close: &'static str,
    /// Between an element and the next, and what follows the last.
    pub(super) gap: &'static str,
    /// Whether a string may stand in `<![CDATA[` and `]]>`.
    pub(super) cdata: bool,
}

const TAGS: Tags = Tags { open: "", middle: "", middle_json: "", close: "", gap: "\n", cdata: false };

/// What [`FORMATS`]' rows have unless they say otherwise: a JSON object for each call between markers.
const JSON: Format = Format {
    name: "",
    hints: &[],
    marker: "",
    tag: "",
    before: "",
    open: "",
    arguments: Arguments::Json,
    close: &["}"],
    between: ", ",
    after: "",
    many: true,
};

const WITH_ID: &[&str] = &["}", ", \"id\": \"{id}\"}"];
const GLM_ARGUMENTS: Arguments = Arguments::Tags(Tags {
    open: "<arg_key>",
    middle: "</arg_key>\n<arg_value>",
    middle_json: "</arg_key>\n<arg_value>",
    close: "</arg_value>",
    ..TAGS
});
const DSML_ARGUMENTS: Arguments = Arguments::Tags(Tags {
    open: "<｜DSML｜parameter name=\"",
    middle: "\" string=\"true\">",
    middle_json: "\" string=\"false\">",
    close: "</｜DSML｜parameter>",
    ..TAGS
});

/// Hermes' form, and of all that came after it the one that models without one of their own know best.
pub(super) static HERMES: Format = Format {
    name: "hermes",
    marker: "<tool_call>",
    open: "<tool_call>\n{\"name\": \"{name}\", \"arguments\": ",
    close: &["}\n</tool_call>"],
    between: "\n",
    ..JSON
};

/// The known forms, those of the most models first.
pub(super) static FORMATS: &[&Format] = &[
    &HERMES,
    &Format { name: "llama", tag: "<|python_tag|>", open: "{\"name\": \"{name}\", \"parameters\": ", many: false, ..JSON },
    &Format {
        name: "mistral",
        hints: &["[AVAILABLE_TOOLS]", "[TOOL_CALLS]"],
        marker: "[TOOL_CALLS]",
        before: "[TOOL_CALLS][",
        open: "{\"name\": \"{name}\", \"arguments\": ",
        close: WITH_ID,
        after: "]",
        ..JSON
    },
    &Format { name: "mistral_args", marker: "[TOOL_CALLS]", open: "[TOOL_CALLS]{name}[ARGS]", close: &[""], between: "", ..JSON },
    &Format {
        name: "mistral_call_id",
        marker: "[TOOL_CALLS]",
        open: "[TOOL_CALLS]{name}[CALL_ID]{id}[ARGS]",
        close: &[""],
        between: "",
        ..JSON
    },
    &Format {
        name: "qwen3_coder",
        marker: "<tool_call>",
        open: "<tool_call>\n<function={name}>\n",
        arguments: Arguments::Tags(Tags { open: "<parameter=", middle: ">\n", middle_json: ">\n", close: "\n</parameter>", ..TAGS }),
        close: &["</function>\n</tool_call>"],
        between: "\n",
        ..JSON
    },
    &Format {
        name: "phi4",
        hints: &["<|tool|>", "<|/tool|>"],
        marker: "<|tool_call|>",
        before: "<|tool_call|>[",
        open: "{\"name\": \"{name}\", \"arguments\": ",
        after: "]<|/tool_call|>",
        ..JSON
    },
    &Format {
        name: "granite",
        hints: &["<|start_of_role|>", "<|tool_call|>"],
        marker: "<|tool_call|>",
        before: "<|tool_call|>[",
        open: "{\"name\": \"{name}\", \"arguments\": ",
        after: "]",
        ..JSON
    },
    &Format {
        name: "deepseek_r1",
        marker: "<｜tool▁calls▁begin｜>",
        before: "<｜tool▁calls▁begin｜>",
        open: "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n",
        close: &["\n```<｜tool▁call▁end｜>"],
        between: "\n",
        after: "<｜tool▁calls▁end｜>",
        ..JSON
    },
    &Format {
        name: "deepseek_v3_1",
        marker: "<｜tool▁calls▁begin｜>",
        before: "<｜tool▁calls▁begin｜>",
        open: "<｜tool▁call▁begin｜>{name}<｜tool▁sep｜>",
        close: &["<｜tool▁call▁end｜>"],
        between: "",
        after: "<｜tool▁calls▁end｜>",
        ..JSON
    },
    &Format {
        name: "deepseek_v3_2",
        marker: "<｜DSML｜function_calls>",
        before: "<｜DSML｜function_calls>\n",
        open: "<｜DSML｜invoke name=\"{name}\">\n",
        arguments: DSML_ARGUMENTS,
        close: &["</｜DSML｜invoke>\n"],
        between: "",
        after: "</｜DSML｜function_calls>",
        ..JSON
    },
    &Format {
        name: "deepseek_v4",
        marker: "<｜DSML｜tool_calls>",
        before: "<｜DSML｜tool_calls>\n",
        open: "<｜DSML｜invoke name=\"{name}\">\n",
        arguments: DSML_ARGUMENTS,
        close: &["</｜DSML｜invoke>\n"],
        between: "",
        after: "</｜DSML｜tool_calls>",
        ..JSON
    },
    &Format { name: "functionary_v3_1", marker: "<function=", open: "<function={name}>", close: &["</function>"], between: "", ..JSON },
    &Format {
        name: "firefunction",
        hints: &["functools["],
        marker: "functools[",
        before: "functools[",
        open: "{\"name\": \"{name}\", \"arguments\": ",
        after: "]",
        ..JSON
    },
    &Format {
        name: "command",
        marker: "<|START_ACTION|>",
        before: "<|START_ACTION|>[\n    ",
        open: "{\"tool_call_id\": \"{index}\", \"tool_name\": \"{name}\", \"parameters\": ",
        between: ",\n    ",
        after: "\n]<|END_ACTION|>",
        ..JSON
    },
    &Format {
        name: "command_r",
        marker: "Action:\n```json",
        before: "Action:\n```json\n[\n    ",
        open: "{\n        \"tool_name\": \"{name}\",\n        \"parameters\": ",
        close: &["\n    }"],
        between: ",\n    ",
        after: "\n]```",
        ..JSON
    },
    &Format {
        name: "glm",
        marker: "<tool_call>",
        open: "<tool_call>{name}\n",
        arguments: GLM_ARGUMENTS,
        close: &["</tool_call>"],
        between: "\n",
        ..JSON
    },
    &Format {
        name: "kimi",
        hints: &["<|tool_calls_section_begin|>", "<|tool_call_argument_begin|>"],
        marker: "<|tool_calls_section_begin|>",
        before: "<|tool_calls_section_begin|>",
        open: "<|tool_call_begin|>functions.{name}:{index}<|tool_call_argument_begin|>",
        close: &["<|tool_call_end|>"],
        between: "",
        after: "<|tool_calls_section_end|>",
        ..JSON
    },
    &Format {
        name: "minimax_m2",
        marker: "<minimax:tool_call>",
        before: "<minimax:tool_call>\n",
        open: "<invoke name=\"{name}\">\n",
        arguments: Arguments::Tags(Tags { open: "<parameter name=\"", middle: "\">", middle_json: "\">", close: "</parameter>", ..TAGS }),
        close: &["</invoke>\n"],
        between: "",
        after: "</minimax:tool_call>",
        ..JSON
    },
    &Format {
        name: "minimax_m1",
        marker: "<tool_calls>",
        before: "<tool_calls>\n",
        open: "{\"name\": \"{name}\", \"arguments\": ",
        between: "\n",
        after: "\n</tool_calls>",
        ..JSON
    },
    &Format {
        name: "apriel",
        marker: "<tool_calls>",
        before: "<tool_calls>[",
        open: "{\"name\": \"{name}\", \"arguments\": ",
        close: WITH_ID,
        after: "]</tool_calls>",
        ..JSON
    },
    &Format {
        name: "nemotron",
        marker: "<TOOLCALL>",
        before: "<TOOLCALL>[",
        open: "{\"name\": \"{name}\", \"arguments\": ",
        after: "]</TOOLCALL>",
        ..JSON
    },
    &Format {
        name: "seed",
        marker: "<seed:tool_call>",
        open: "<seed:tool_call>\n<function={name}>\n",
        arguments: Arguments::Tags(Tags { open: "<parameter=", middle: ">", middle_json: ">", close: "</parameter>", ..TAGS }),
        close: &["</function>\n</seed:tool_call>"],
        between: "\n",
        ..JSON
    },
    &Format {
        name: "hunyuan",
        marker: "<tool_calls:opensource>",
        before: "<tool_calls:opensource>\n",
        open: "<tool_call:opensource>{name}<tool_sep:opensource>\n",
        arguments: Arguments::Tags(Tags {
            open: "<arg_key:opensource>",
            middle: "</arg_key:opensource>\n<arg_value:opensource>",
            middle_json: "</arg_key:opensource>\n<arg_value:opensource>",
            close: "</arg_value:opensource>",
            ..TAGS
        }),
        close: &["</tool_call:opensource>\n"],
        between: "",
        after: "</tool_calls:opensource>",
        ..JSON
    },
    &Format {
        name: "minicpm",
        marker: "<function name=\"",
        open: "<function name=\"{name}\">",
        arguments: Arguments::Tags(Tags {
            open: "<param name=\"",
            middle: "\">",
            middle_json: "\">",
            close: "</param>",
            gap: "",
            cdata: true,
        }),
        close: &["</function>"],
        between: "\n",
        ..JSON
    },
    &Format {
        name: "apertus",
        marker: "<|tools_prefix|>",
        before: "<|tools_prefix|>[",
        open: "{\"{name}\": ",
        after: "]<|tools_suffix|>",
        ..JSON
    },
    &Format {
        name: "gigachat",
        marker: "<|function_call|>",
        open: "<|function_call|>{\"name\": \"{name}\", \"arguments\": ",
        many: false,
        ..JSON
    },
    &Format {
        name: "gigachat_turn",
        marker: "<|message_sep|>",
        open: "<|message_sep|>\n\nfunction call<|role_sep|>\n{\"name\": \"{name}\", \"arguments\": ",
        many: false,
        ..JSON
    },
    &Format {
        name: "solar",
        marker: "<|tool_calls|>",
        before: "<|tool_calls|>",
        open: "<|tool_call:begin|>{id}<|tool_call:name|>{name}<|tool_call:args|>",
        close: &["<|tool_call:end|>"],
        between: "",
        ..JSON
    },
];

impl Format {
    /// The text of `calls`, a name and arguments each, as an assistant's message in the history has it.
    pub(super) fn write(&self, calls: &[(&str, &Value)]) -> String {
        let mut text = String::from(self.before);
        for (number, (name, arguments)) in calls.iter().enumerate() {
            if number > 0 {
                text.push_str(self.between);
            }
            // Only where a template does not write calls are they written here, so that an id has no other place to agree with.
            let fill = |part: &str| part.replace("{index}", &number.to_string()).replace("{id}", &format!("{number:09}"));
            text.push_str(&fill(self.open).replace("{name}", name));
            self.arguments.write(arguments, &mut text);
            text.push_str(&fill(self.close[0]));
        }
        text.push_str(self.after);
        text
    }

    /// The texts that may be control tokens in a vocabulary.
    pub(super) fn markers(&self) -> impl Iterator<Item = &'static str> {
        let tags = match &self.arguments {
            Arguments::Json => None,
            Arguments::Tags(tags) => Some([tags.open, tags.middle, tags.middle_json, tags.close]),
        };
        let own = [self.marker, self.tag, self.before, self.open, self.after, self.between];
        own.into_iter().chain(self.close.iter().copied()).chain(tags.into_iter().flatten()).filter(|text| !text.is_empty())
    }
}

impl Arguments {
    fn write(&self, arguments: &Value, text: &mut String) {
        let empty = Map::new();
        match self {
            Self::Json => text.push_str(&spaced(arguments)),
            Self::Tags(tags) => {
                for (key, value) in arguments.as_object().unwrap_or(&empty) {
                    let (middle, value) = match value {
                        Value::String(value) => (tags.middle, value.clone()),
                        other => (tags.middle_json, spaced(other)),
                    };
                    text.extend([tags.open, key, middle, &value, tags.close, tags.gap]);
                }
            }
        }
    }
}

/// JSON as templates write it: a space after commas and colons.
pub(super) fn spaced(value: &Value) -> String {
    let mut text = String::new();
    let list = |text: &mut String, number: usize| {
        if number > 0 {
            text.push_str(", ")
        }
    };
    match value {
        Value::Array(items) => {
            text.push('[');
            for (number, item) in items.iter().enumerate() {
                list(&mut text, number);
                text.push_str(&spaced(item));
            }
            text.push(']');
        }
        Value::Object(fields) => {
            text.push('{');
            for (number, (name, value)) in fields.iter().enumerate() {
                list(&mut text, number);
                text.extend([&Value::from(name.as_str()).to_string(), ": ", &spaced(value)]);
            }
            text.push('}');
        }
        other => text = other.to_string(),
    }
    text
}
