//! The original's routes (nest-seckill), with the statuses, content types and bodies its clients see.

use std::borrow::Cow;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{CONTENT_TYPE, HeaderValue},
    },
    web::{self, Data, Payload, ServiceConfig},
};
use seckill_core::{
    order::{Order, Remark, Units},
    order_log::Position,
};
use serde::Serialize;

use super::{READ_ONLY, get, orders, resource};
use crate::{
    body,
    measures::HttpMeasures,
    order_body::{self, Dialect},
    problem::Problem,
    purchase::{Placed, Purchase},
    refusal::{Refusal, SOLD_OUT},
    request_trace,
    services::Services,
};

/// The media type of the original's JSON.
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

pub(super) fn configure(config: &mut ServiceConfig, measures: &HttpMeasures) {
    config.service(resource(measures, "/", READ_ONLY, vec![get().to(hello)])).service(resource(
        measures,
        "/seckill/add",
        "POST",
        vec![web::post().to(add)],
    ));
}

async fn hello() -> HttpResponse {
    text(StatusCode::OK, "Hello seckill")
}

async fn add(
    request: HttpRequest,
    payload: Payload,
    services: Data<Services>,
) -> Result<HttpResponse, Problem> {
    let buyer = services.identity.buyer(request.headers())?;
    let body = body::read(&request, payload).await?;
    let key = orders::key_of(&request)?;
    let order = order_body::parse_for(&body, Dialect::Legacy, buyer.as_ref())?;
    services.count_order(&order.buyer, &request)?;
    let sale = services.default_sale.clone();
    let purchase =
        Purchase { sale, request: order, key, wants_position: true, trace: request_trace::of(&request) };
    let placed = match services.purchases.place(purchase).await {
        Ok(placed) => placed,
        Err(Refusal::SoldOut) => return Ok(text(StatusCode::CREATED, SOLD_OUT)),
        Err(refusal) => return Err(refusal.into()),
    };
    // Without a place in the log there is nothing of the original's to answer: it is not known to be
    // there (`pending`), or it is cancelled.
    let Some(position) = placed.position else { return Ok(orders::accepted(&placed)) };
    Ok(created(&services.orders_topic, &placed, position))
}

/// The original's answer to an order that is in the log.
fn created(topic: &str, placed: &Placed, position: Position) -> HttpResponse {
    let message = Message::of(&placed.order);
    let message = serde_json::to_string(&message).expect("a message is always JSON");
    let partition = position.partition;
    let topic_json = serde_json::to_string(topic).expect("a text is always JSON");
    let message_json = serde_json::to_string(&message).expect("a text is always JSON");
    let body = format!(
        "{{\"payload\":[{{\"topic\":{topic_json},\"partition\":{partition},\"messages\":[{message_json}],\
         \"attributes\":0}}],\"kafkaProducerResponse\":{{{topic_json}:{{\"{partition}\":{}}}}}}}",
        position.offset
    );
    let mut response = HttpResponse::build(StatusCode::CREATED);
    response.insert_header((CONTENT_TYPE, JSON));
    let mut response = response.body(body);
    orders::mark_replay(&mut response, placed);
    response
}

/// The order as the original put it on its log.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    user: &'a str,
    goods: &'a str,
    remark: Option<&'a str>,
    openid: &'a str,
    remain_count: Option<Units>,
}

impl<'a> Message<'a> {
    fn of(order: &'a Order) -> Self {
        Self {
            user: order.buyer.as_str(),
            goods: order.goods.as_str(),
            remark: order.remark.as_ref().map(Remark::as_str),
            openid: &order.openid,
            remain_count: order.remain_count,
        }
    }
}

/// An answer in JSON, of the content type that the original's framework gives to it.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> HttpResponse {
    let mut response = super::json(status, value);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// A text, of the content type that the original's framework gives to texts.
pub(super) fn text(status: StatusCode, text: impl Into<Cow<'static, str>>) -> HttpResponse {
    let text = text.into();
    let mut response = HttpResponse::build(status);
    response.insert_header((CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")));
    response.body(text)
}
