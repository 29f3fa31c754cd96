//! `/v1/conversations`: what was said, kept by a name until it is deleted. Responses go on with it and add to it.

mod record;
pub(crate) mod schemas;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::{
    listing, metadata,
    responses::{
        Item, Sent,
        input::{self, ITEM},
        item::Names,
        turn::check_size,
    },
};
use crate::{
    Body, ident,
    ports::Ports,
    receive, respond,
    wire::{
        ApiError,
        error::ErrorType,
        fields::Fields,
        table::{Field, Kind, Table, invalid, quoted},
    },
};

pub(crate) use record::Conversation;

/// Items that are added at once, as OpenAI has it.
const MAX_ITEMS: usize = 20;

/// The request that begins a conversation.
pub(crate) static TABLE: Table = Table {
    name: "ConversationRequest",
    plural: "requests",
    about: "A conversation to begin.",
    fields: &[Field::new("items", Kind::List(&ITEM, 0, MAX_ITEMS), "What was said already."), metadata::FIELD],
    open: false,
};

/// The request that changes one.
pub(crate) static UPDATE: Table = Table {
    name: "ConversationUpdate",
    plural: "requests",
    about: "What a conversation's metadata is to be.",
    fields: &[metadata::FIELD.required()],
    open: false,
};

/// The request that adds to one.
pub(crate) static ADD: Table = Table {
    name: "ConversationAddition",
    plural: "requests",
    about: "What is to be added to a conversation.",
    fields: &[Field::new("items", Kind::List(&ITEM, 1, MAX_ITEMS), "The items.").required()],
    open: false,
};

/// What stands behind the question mark where items are added, or one is asked for.
pub(crate) static QUERY: Table =
    Table { name: "ItemQuery", plural: "queries", about: "How items are told.", fields: &[Field::ignored("include")], open: true };

/// Begins a conversation.
pub(crate) async fn post<P: Ports, B: http_body::Body<Data = Bytes>>(ports: &P, body: B) -> Result<Response<Body>, ApiError> {
    let mut fields = Fields::of(receive::json_or_empty(ports, body).await?, &TABLE)?;
    let items = sent(fields.take("items"))?;
    let metadata = metadata::read(&mut fields)?;
    check_size(&items, "items")?;
    let conversation = Conversation::begin(ports, metadata).await?;
    conversation.append(ports, &items).await?;
    told(ports, &conversation).await
}

/// Tells of one.
pub(crate) async fn get<P: Ports>(ports: &P, id: &str) -> Result<Response<Body>, ApiError> {
    told(ports, &Conversation::find(ports, id).await?).await
}

/// Changes its metadata.
pub(crate) async fn update<P: Ports, B: http_body::Body<Data = Bytes>>(ports: &P, id: &str, body: B) -> Result<Response<Body>, ApiError> {
    let mut fields = Fields::of(receive::json(ports, body).await?, &UPDATE)?;
    let metadata = metadata::read(&mut fields)?;
    let conversation = Conversation::find(ports, id).await?;
    conversation.set_metadata(ports, &metadata).await?;
    Ok(document(&conversation, metadata))
}

/// Forgets one.
pub(crate) async fn delete<P: Ports>(ports: &P, id: &str) -> Result<Response<Body>, ApiError> {
    Conversation::find(ports, id).await?.delete(ports).await?;
    Ok(respond::document(&json!({"id": id, "object": "conversation.deleted", "deleted": true})))
}

/// Tells what was said in it.
pub(crate) async fn items<P: Ports>(ports: &P, id: &str, query: Fields) -> Result<Response<Body>, ApiError> {
    listing::page(Conversation::find(ports, id).await?.items(ports).await?, query)
}

/// Adds to it.
pub(crate) async fn add<P: Ports, B: http_body::Body<Data = Bytes>>(ports: &P, id: &str, body: B) -> Result<Response<Body>, ApiError> {
    let mut fields = Fields::of(receive::json(ports, body).await?, &ADD)?;
    let items = sent(fields.take("items"))?;
    let conversation = Conversation::find(ports, id).await?;
    conversation.check_room(ports).await?;
    check_size(&[conversation.items(ports).await?, items.clone()].concat(), "items")?;
    conversation.append(ports, &items).await?;
    Ok(listing::list(&items, false))
}

/// Tells one item.
pub(crate) async fn item<P: Ports>(ports: &P, id: &str, item: &str) -> Result<Response<Body>, ApiError> {
    let items = Conversation::find(ports, id).await?.items(ports).await?;
    let found = items.iter().find(|one| one.id() == item).ok_or_else(|| no_item(item))?;
    Ok(respond::document(found))
}

/// Takes an item out.
pub(crate) async fn delete_item<P: Ports>(ports: &P, id: &str, item: &str) -> Result<Response<Body>, ApiError> {
    let conversation = Conversation::find(ports, id).await?;
    match conversation.delete_item(ports, item).await? {
        true => told(ports, &conversation).await,
        false => Err(no_item(item)),
    }
}

/// The items of a checked array, with names.
fn sent(array: Option<Value>) -> Result<Vec<Item>, ApiError> {
    let mut names = Names::new(ident::secret(0)?);
    let items = array.map(|array| input::items(array, "items")).unwrap_or_default().into_iter().map(|sent| match sent {
        Sent::Item(mut item) => {
            input::name(&mut item, &mut names);
            Ok(item)
        }
        Sent::Reference(_, path) => Err(invalid(&path, "a conversation keeps items and not references: send the item itself.")),
    });
    items.collect()
}

fn no_item(id: &str) -> ApiError {
    let message = format!("Item with id {} not found in this conversation.", quoted(id));
    ApiError::new(StatusCode::NOT_FOUND, ErrorType::InvalidRequest, message).code("item_not_found")
}

async fn told<P: Ports>(ports: &P, conversation: &Conversation) -> Result<Response<Body>, ApiError> {
    Ok(document(conversation, conversation.metadata(ports).await?))
}

fn document(conversation: &Conversation, metadata: Map<String, Value>) -> Response<Body> {
    respond::document(&json!({
        "id": conversation.id(), "object": "conversation", "created_at": conversation.created_at(), "metadata": metadata
    }))
}
