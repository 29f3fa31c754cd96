//! Pages of a list of items.

use http::Response;
use serde::Serialize;

use super::responses::Item;
use crate::{
    Body, respond,
    wire::{
        ApiError,
        fields::Fields,
        table::{Field, Kind, Literal, Table, invalid, quoted},
    },
};

/// What stands behind the question mark where items are listed.
pub(crate) static QUERY: Table = Table {
    name: "ListQuery",
    plural: "queries",
    about: "Which items are told.",
    fields: &[
        Field::new("limit", Kind::Integer(1, 100), "Items to tell.").or(Literal::Integer(20)),
        Field::new("order", Kind::Word(&["asc", "desc"]), "The oldest first, or the newest.").or(Literal::Text("desc")),
        Field::new("after", Kind::Text, "The item, by its name, after which to begin: the last of the page before."),
        Field::ignored("include"),
    ],
    open: true,
};

#[derive(Debug, Serialize)]
struct Page<'a> {
    object: &'static str,
    data: &'a [Item],
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
    has_more: bool,
}

/// Answers with the page that a query asks for of all items, the oldest first.
pub(crate) fn page(mut items: Vec<Item>, mut query: Fields) -> Result<Response<Body>, ApiError> {
    if query.text("order").as_deref() != Some("asc") {
        items.reverse();
    }
    let begin = match query.text("after") {
        None => 0,
        Some(after) => match items.iter().position(|item| item.id() == after) {
            Some(index) => index + 1,
            None => return Err(invalid("after", format!("there is no item {}.", quoted(&after)))),
        },
    };
    let limit = query.count("limit").unwrap_or_default() as usize;
    let rest = &items[begin..];
    Ok(list(&rest[..limit.min(rest.len())], rest.len() > limit))
}

/// Answers with items, after which there may be more.
pub(crate) fn list(data: &[Item], has_more: bool) -> Response<Body> {
    let (first_id, last_id) = (data.first().map(Item::id), data.last().map(Item::id));
    respond::document(&Page { object: "list", data, first_id, last_id, has_more })
}
