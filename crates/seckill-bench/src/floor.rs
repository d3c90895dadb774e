//! The floor that speed is measured against: a bare server that reads the same order and answers the same JSON, and does
//! nothing else. The most that this HTTP stack can do, and the measure of what the system makes of it.

use std::net::SocketAddr;

use actix_web::{App, HttpResponse, HttpServer, web};
use clap::Args;
use jiff::Timestamp;
use seckill_core::{
    order::{BuyerId, Goods, Order, OrderId, OrderRequest, OrderStatus, Quantity, Remark},
    sale::SaleId,
};
use serde::Deserialize;

use crate::exit::Failure;

/// What `floor` is asked.
#[derive(Args, Debug)]
pub struct FloorArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:3999")]
    pub listen: SocketAddr,
    /// Worker threads; as many as there are cores if not given
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Option<u16>,
}

/// An order request, with the fields and ranges of the API's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    user: BuyerId,
    goods: Goods,
    quantity: Option<Quantity>,
    remark: Option<Remark>,
}

async fn order(sale: web::Path<SaleId>, body: web::Json<Body>) -> HttpResponse {
    let body = body.into_inner();
    let request = OrderRequest {
        buyer: body.user,
        goods: body.goods,
        quantity: body.quantity.unwrap_or(Quantity::ONE),
        remark: body.remark,
    };
    let (id, now) = (OrderId::fresh(), Timestamp::now());
    let order = Order::new(id, sale.into_inner(), request, Some(0), now, OrderStatus::Accepted);
    HttpResponse::Accepted().json(order)
}

/// Serves until it is interrupted.
pub async fn serve(args: &FloorArgs) -> Result<(), Failure> {
    let server = HttpServer::new(|| App::new().route("/v1/sales/{sale}/orders", web::post().to(order)));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let server = server
        .workers(args.workers.map_or(cores, usize::from))
        .bind(args.listen)
        .map_err(|error| Failure::Usage(format!("--listen {}: {error}", args.listen)))?;
    for address in server.addrs() {
        println!("listening on http://{address}");
    }
    Ok(server.run().await?)
}
