//! The answers of this API as tables, which document them.

use crate::wire::table::{COUNT, Field, Kind, Table};

pub(crate) static CONVERSATION: Table = Table {
    name: "Conversation",
    plural: "conversations",
    about: "A conversation that is kept.",
    fields: &[
        Field::new("id", Kind::Text, "Its name.").required(),
        Field::new("object", Kind::Word(&["conversation"]), "What it is.").required(),
        Field::new("created_at", COUNT, "When it began, in Unix seconds.").required(),
        Field::new("metadata", Kind::Map(&Kind::Text), "What a client notes for itself.").required(),
    ],
    open: false,
};

pub(crate) static DELETED: Table = Table {
    name: "ConversationDeleted",
    plural: "answers",
    about: "That a conversation is gone.",
    fields: &[
        Field::new("id", Kind::Text, "Its name.").required(),
        Field::new("object", Kind::Word(&["conversation.deleted"]), "What it was.").required(),
        Field::new("deleted", Kind::Flag, "Always true.").required(),
    ],
    open: false,
};
