//! A row of the original's table, and the order that it becomes.

use jiff::Timestamp;
use seckill_core::{
    order::{BuyerId, Goods, Openid, Order, OrderId, OrderStatus, Quantity, Remark},
    sale::SaleId,
    store::{ImportedOrder, OriginalOrder},
};
use serde::Deserialize;

/// What a row does not say itself.
#[derive(Clone, Debug)]
pub struct Assumed {
    /// The sale that it is of.
    pub sale: SaleId,
    /// What was bought, where neither the row nor its message says so.
    pub goods: Option<Goods>,
}

/// The order that `row` becomes, or why it cannot be one.
pub fn order_of(row: &OriginalOrder, assumed: &Assumed) -> Result<ImportedOrder, String> {
    let id = OrderId::parse(&row.id).ok_or("its id is not a UUID")?;
    let openid = row.openid.as_deref().ok_or("it has no openid")?;
    let openid = Openid::parse(openid).map_err(|error| format!("openid {error}"))?;
    let buyer = row.user.as_deref().ok_or("it has no user")?;
    let buyer = BuyerId::parse(buyer).map_err(|error| format!("user {error}"))?;
    // An order without a note has an empty one in the original, whose column takes no nulls.
    let remark = row.remark.as_deref().filter(|remark| !remark.is_empty()).map(Remark::parse);
    let remark = remark.transpose().map_err(|error| format!("remark {error}"))?;
    let created = taken_at(openid.as_str()).or_else(|| time(row.created_ms)).ok_or("it has no date")?;
    let order = Order {
        id,
        sale: assumed.sale.clone(),
        buyer,
        goods: goods_of(row, assumed)?,
        // The original knows no other.
        quantity: Quantity::ONE,
        remark,
        openid: openid.as_str().to_owned(),
        remain_count: row.remain_count.and_then(|count| u64::try_from(count).ok()),
        status: OrderStatus::Confirmed,
        created_date: created,
        update_date: time(row.updated_ms).map_or(created, |updated| updated.max(created)),
    };
    Ok(ImportedOrder { order, raw: row.kafka_raw_message.clone() })
}

fn goods_of(row: &OriginalOrder, assumed: &Assumed) -> Result<Goods, String> {
    let said = row.goods.clone().filter(|goods| !goods.is_empty()).or_else(|| goods_in_message(row));
    match (said, &assumed.goods) {
        (Some(goods), _) => Goods::parse(goods).map_err(|error| format!("goods {error}")),
        (None, Some(assumed)) => Ok(assumed.clone()),
        (None, None) => Err("it does not say what was bought (--goods does)".to_owned()),
    }
}

#[derive(Deserialize)]
struct RawMessage {
    value: String,
}

#[derive(Deserialize)]
struct RawValue {
    goods: String,
}

/// What the original's own message says was bought. The original cut long ones off, so that they are no JSON.
fn goods_in_message(row: &OriginalOrder) -> Option<String> {
    let message: RawMessage = serde_json::from_str(row.kafka_raw_message.as_deref()?).ok()?;
    serde_json::from_str::<RawValue>(&message.value).ok().map(|value| value.goods).filter(|it| !it.is_empty())
}

/// When the original took the order, to the millisecond and in no time zone: `UUID-MILLISECONDS`.
fn taken_at(openid: &str) -> Option<Timestamp> {
    let (uuid, milliseconds) = openid.rsplit_once('-')?;
    OrderId::parse(uuid)?;
    time(milliseconds.parse().ok())
}

/// Milliseconds since epoch, of a time at which the original could have sold anything.
fn time(milliseconds: Option<i64>) -> Option<Timestamp> {
    milliseconds.filter(|it| *it > 0).and_then(|it| Timestamp::from_millisecond(it).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

    fn row() -> OriginalOrder {
        OriginalOrder {
            id: ID.into(),
            user: Some("user1".into()),
            openid: Some("7c9e6679-7425-40de-944b-e07fc1f90ae7-1613800000123".into()),
            remain_count: Some(99),
            remark: Some(String::new()),
            created_ms: Some(1_613_800_000_500),
            updated_ms: Some(1_613_800_000_500),
            kafka_raw_message: Some(
                r#"{"topic":"PHONE_NUMBER","value":"{\"user\":\"user1\",\"goods\":\"小米11\"}","offset":0}"#
                    .into(),
            ),
            ..OriginalOrder::default()
        }
    }

    fn assumed(goods: Option<&str>) -> Assumed {
        Assumed { sale: SaleId::parse("default").unwrap(), goods: goods.map(|it| Goods::parse(it).unwrap()) }
    }

    #[test]
    fn a_row_keeps_its_id_its_openid_and_the_time_in_that() {
        let ImportedOrder { order, raw } = order_of(&row(), &assumed(None)).unwrap();
        assert_eq!((order.id.to_string().as_str(), order.buyer.as_str()), (ID, "user1"));
        assert_eq!(order.openid, row().openid.unwrap());
        assert_eq!(order.created_date.as_millisecond(), 1_613_800_000_123);
        assert_eq!((order.remark, order.remain_count, order.quantity), (None, Some(99), Quantity::ONE));
        assert_eq!(raw, row().kafka_raw_message);
    }

    #[test]
    fn goods_are_the_columns_or_the_messages_or_those_that_are_given() {
        let goods = |row: &OriginalOrder, given| {
            order_of(row, &assumed(given)).map(|it| it.order.goods.as_str().to_owned())
        };
        let with_column = OriginalOrder { goods: Some("phone".into()), ..row() };
        assert_eq!(goods(&with_column, Some("other")).as_deref(), Ok("phone"));
        assert_eq!(goods(&row(), Some("other")).as_deref(), Ok("小米11"));
        for cut in [None, Some("{\"topic\":\"PHO"), Some("{\"value\":\"{}\"}"), Some("{\"value\":1}")] {
            let silent = OriginalOrder { kafka_raw_message: cut.map(Into::into), ..row() };
            assert_eq!(goods(&silent, Some("other")).as_deref(), Ok("other"));
            assert!(goods(&silent, None).unwrap_err().contains("--goods"), "{cut:?}");
        }
    }

    #[test]
    fn a_row_whose_openid_has_no_time_has_its_date() {
        let plain = OriginalOrder { openid: Some("order-17".into()), ..row() };
        let order = order_of(&plain, &assumed(None)).unwrap().order;
        assert_eq!(order.created_date.as_millisecond(), 1_613_800_000_500);
        let dateless = OriginalOrder { created_ms: None, ..plain };
        assert_eq!(order_of(&dateless, &assumed(None)).unwrap_err(), "it has no date");
    }

    #[test]
    fn what_cannot_be_an_order_is_told_why() {
        let because = |row: OriginalOrder| order_of(&row, &assumed(None)).unwrap_err();
        assert_eq!(because(OriginalOrder { id: "17".into(), ..row() }), "its id is not a UUID");
        assert_eq!(because(OriginalOrder { user: None, ..row() }), "it has no user");
        let long = OriginalOrder { user: Some("u".repeat(65)), ..row() };
        assert_eq!(because(long), "user must have 1 to 64 characters");
        let lines = OriginalOrder { remark: Some("a\nb".into()), ..row() };
        assert_eq!(because(lines), "remark must not contain control characters");
        assert_eq!(because(OriginalOrder { openid: None, ..row() }), "it has no openid");
    }

    #[test]
    fn an_oversold_original_counted_below_zero_and_that_is_not_kept() {
        let oversold = OriginalOrder { remain_count: Some(-3), ..row() };
        assert_eq!(order_of(&oversold, &assumed(None)).unwrap().order.remain_count, None);
    }
}
