//! The original's routes for operators: `/seckill/reset` and `/order`. All of them take the operator's token.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{HeaderValue, LINK},
    },
    web::{self, Data, Payload, ServiceConfig},
};
use jiff::Timestamp;
use seckill_core::{order::OrderId, store::OrderCursor};
use serde::Serialize;

use super::{get, legacy, order_in_path, resource};
use crate::{
    admin_access::Admin,
    back_office_body::{self, Count},
    body,
    measures::HttpMeasures,
    problem::{FieldError, Problem},
    request_trace,
    services::Services,
};

/// What the original answers to a reset below nothing, with status 200.
const BELOW_NOTHING: &str = "剩余数量不可小于0！";

/// How many orders a page has if nothing is said, and at most.
const PAGE: u32 = 1_000;
const MAX_PAGE: u32 = 10_000;

pub(super) fn configure(config: &mut ServiceConfig, measures: &HttpMeasures) {
    let order = vec![web::post().to(make), web::put().to(edit), web::delete().to(delete)];
    config
        .service(resource(measures, "/seckill/reset", "PUT", vec![web::put().to(reset)]))
        .service(resource(measures, "/order", "POST, PUT, DELETE", order))
        .service(resource(measures, "/order/all", super::READ_ONLY, vec![get().to(list)]))
        .service(resource(measures, "/order/{id}", super::READ_ONLY, vec![get().to(show)]));
}

async fn reset(
    _admin: Admin,
    request: HttpRequest,
    payload: Payload,
    services: Data<Services>,
) -> Result<HttpResponse, Problem> {
    let count = match back_office_body::count(&body::read(&request, payload).await?)? {
        Count::Negative => return Ok(legacy::text(StatusCode::OK, BELOW_NOTHING)),
        Count::Units(count) => count,
    };
    let changed = services.back_office.reset(&services.default_sale, count).await?;
    services.purchases.note_change(&services.default_sale);
    let done = format!("更新剩余商品数成功！现在剩余：{}", changed.remaining);
    Ok(legacy::text(StatusCode::OK, done))
}

async fn list(
    _admin: Admin,
    request: HttpRequest,
    services: Data<Services>,
) -> Result<HttpResponse, Problem> {
    let Paging { behind, limit } = Paging::of(request.query_string())?;
    // One more than asked for tells whether there is a next page.
    let mut orders = services.back_office.orders(behind, limit + 1).await?;
    let more = orders.len() > limit as usize;
    orders.truncate(limit as usize);
    let mut response = legacy::json(StatusCode::OK, &orders);
    if let (true, Some(last)) = (more, orders.last()) {
        let cursor = format!("{}.{}", last.created_date.as_millisecond(), last.id);
        let link = format!("</order/all?limit={limit}&cursor={cursor}>; rel=\"next\"");
        let link = HeaderValue::from_str(&link).expect("numbers and ids are visible ASCII");
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

async fn show(
    _admin: Admin,
    request: HttpRequest,
    services: Data<Services>,
) -> Result<HttpResponse, Problem> {
    let order = services.back_office.order(order_in_path(&request)?).await?;
    Ok(legacy::json(StatusCode::OK, &order))
}

async fn make(
    _admin: Admin,
    request: HttpRequest,
    payload: Payload,
    services: Data<Services>,
) -> Result<HttpResponse, Problem> {
    let order = back_office_body::hand_made(&body::read(&request, payload).await?)?;
    Ok(legacy::json(StatusCode::CREATED, &services.back_office.make(order).await?))
}

/// What the original's database library says of an update.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Updated {
    generated_maps: [(); 0],
    raw: [(); 0],
    affected: u64,
}

async fn edit(
    _admin: Admin,
    request: HttpRequest,
    payload: Payload,
    services: Data<Services>,
) -> Result<HttpResponse, Problem> {
    let (id, edit) = back_office_body::edit(&body::read(&request, payload).await?)?;
    let affected = services.back_office.edit(id, edit).await?;
    Ok(legacy::json(StatusCode::OK, &Updated { generated_maps: [], raw: [], affected }))
}

/// What the original's database library says of a deletion.
#[derive(Serialize)]
struct Deleted {
    raw: [(); 0],
    affected: u64,
}

async fn delete(
    _admin: Admin,
    request: HttpRequest,
    payload: Payload,
    services: Data<Services>,
) -> Result<HttpResponse, Problem> {
    let ids = back_office_body::ids(&body::read(&request, payload).await?)?;
    let affected = services.back_office.delete(ids, request_trace::of(&request)).await?;
    Ok(legacy::json(StatusCode::OK, &Deleted { raw: [], affected }))
}

/// Which page of the orders is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Paging {
    behind: Option<OrderCursor>,
    limit: u32,
}

impl Paging {
    /// Reads `limit=N&cursor=PLACE`, each of which may be absent; what else is there is ignored.
    fn of(query: &str) -> Result<Self, Problem> {
        let (mut limit, mut behind) = (None, None);
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "limit" if limit.is_some() => return Err(Problem::malformed("there is more than one limit")),
                "cursor" if behind.is_some() => {
                    return Err(Problem::malformed("there is more than one cursor"));
                }
                "limit" => limit = Some(page_size(value)?),
                "cursor" => {
                    let place = place(value).ok_or_else(|| {
                        Problem::malformed("the cursor is not one that a `Link` of this path has")
                    })?;
                    behind = Some(place);
                }
                _ => {}
            }
        }
        Ok(Self { behind, limit: limit.unwrap_or(PAGE) })
    }
}

fn page_size(text: &str) -> Result<u32, Problem> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Problem::malformed("the limit is not a whole number"));
    }
    let limit = text.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
    limit.ok_or_else(|| {
        let message = format!("must be 1 to {MAX_PAGE}");
        Problem::validation(vec![FieldError { field: "limit", message }])
    })
}

/// The first millisecond of the year 0, with which the store's times begin.
const FIRST_TIME: i64 = -62_167_219_200_000;

fn place(text: &str) -> Option<OrderCursor> {
    let (created, id) = text.split_once('.')?;
    let created = created.parse().ok().filter(|created| *created >= FIRST_TIME)?;
    let created = Timestamp::from_millisecond(created).ok()?;
    Some(OrderCursor { created, id: OrderId::parse(id)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Code;

    #[test]
    fn paging_is_read_from_the_query() {
        assert_eq!(Paging::of("").unwrap(), Paging { behind: None, limit: 1000 });
        assert_eq!(Paging::of("limit=10000&x=y").unwrap().limit, 10_000);
        let id = OrderId::fresh();
        let created = Timestamp::from_millisecond(1_763_940_000_123).unwrap();
        let paging = Paging::of(&format!("cursor=1763940000123.{id}&limit=1")).unwrap();
        assert_eq!(paging, Paging { behind: Some(OrderCursor { created, id }), limit: 1 });
    }

    #[test]
    fn p6_bad_paging_is_refused() {
        for query in ["limit=0", "limit=10001", "limit=-1", "limit=99999999999999999999"] {
            assert_eq!(Paging::of(query).unwrap_err().code(), Code::ValidationFailed, "{query}");
        }
        for query in [
            "limit",
            "limit=",
            "limit=x",
            "limit=1.5",
            "limit=1&limit=1",
            "cursor=1",
            "cursor=x.y",
            "limit=%31",
        ] {
            assert_eq!(Paging::of(query).unwrap_err().code(), Code::MalformedRequest, "{query}");
        }
        let id = OrderId::fresh();
        let first: Timestamp = "0000-01-01T00:00:00Z".parse().unwrap();
        let cursor = |created: i64| format!("cursor={created}.{id}");
        assert!(Paging::of(&cursor(first.as_millisecond())).is_ok());
        let earlier = Paging::of(&cursor(first.as_millisecond() - 1)).unwrap_err();
        assert_eq!(earlier.code(), Code::MalformedRequest, "the store has no such time");
    }
}
