//! Shows how far a sale is while it sells.

use std::{
    io::IsTerminal,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use seckill_core::{order::Units, sale::SaleId};

use crate::{
    buyer::{Fate, Tally},
    load::LoadArgs,
    witness::StoreWitness,
};

/// How often the bars move.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// How often a line is written where there is no terminal for bars.
const LINE_EVERY: Duration = Duration::from_secs(2);
/// How often MySQL is asked what it has.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// How long the bars stay after the last buyer, until MySQL has all orders.
const LINGER: Duration = Duration::from_secs(3);

/// Bars on a terminal, now and then a line elsewhere.
#[derive(Debug)]
pub struct Progress {
    bars: Option<Bars>,
    written: Arc<AtomicU64>,
    for_sale: Units,
    shown: Instant,
    began: Instant,
}

#[derive(Debug)]
struct Bars {
    accepted: ProgressBar,
    sold_out: ProgressBar,
    unknown: ProgressBar,
    written: ProgressBar,
}

impl Progress {
    /// Begins to show. Without a database, what MySQL has stays at nothing.
    pub async fn start(args: &LoadArgs, database: Option<&str>) -> Self {
        let written = Arc::new(AtomicU64::new(0));
        let mut for_sale = 0;
        if let Some(database) = database
            && let Ok(mut store) = StoreWitness::connect(database).await
            && let Ok((stock, sold)) = store.counts(&args.sale).await
        {
            for_sale = stock - sold;
            tokio::spawn(follow(store, args.sale.clone(), sold, Arc::clone(&written)));
        }
        let buyers = args.buyers.unwrap_or_default();
        let orders = (for_sale / args.quantity).min(buyers);
        let bars = std::io::stderr().is_terminal().then(|| Bars::new(buyers, orders, for_sale));
        let now = Instant::now();
        Self { bars, written, for_sale, shown: now, began: now }
    }

    /// Shows `tally`, if it is time.
    pub fn show(&mut self, tally: &Tally) {
        let every = if self.bars.is_some() { DRAW_EVERY } else { LINE_EVERY };
        if self.shown.elapsed() >= every {
            self.draw(tally);
        }
    }

    /// Shows the end, once MySQL has what was accepted or soon after.
    pub async fn finish(&mut self, tally: &Tally) {
        let ends = Instant::now() + LINGER;
        while self.written.load(Ordering::Relaxed) < self.for_sale
            && Instant::now() < ends
            && self.for_sale > 0
        {
            if tally.of(Fate::SoldOut) == 0 {
                break;
            }
            self.show(tally);
            tokio::time::sleep(DRAW_EVERY).await;
        }
        self.draw(tally);
        if let Some(bars) = &self.bars {
            bars.abandon();
        }
    }

    fn draw(&mut self, tally: &Tally) {
        self.shown = Instant::now();
        let written = self.written.load(Ordering::Relaxed);
        let [accepted, sold_out, unknown] =
            [Fate::Accepted, Fate::SoldOut, Fate::Unknown].map(|f| tally.of(f));
        if let Some(bars) = &self.bars {
            bars.accepted.set_position(accepted);
            bars.sold_out.set_position(sold_out);
            bars.unknown.set_position(unknown);
            bars.written.set_position(written);
        } else {
            let seconds = self.began.elapsed().as_secs_f64();
            eprintln!(
                "{seconds:6.1} s  accepted {accepted}, sold out {sold_out}, unknown {unknown}, in MySQL {written}"
            );
        }
    }
}

impl Bars {
    fn new(buyers: u64, orders: u64, units: Units) -> Self {
        let bars = MultiProgress::new();
        let style = ProgressStyle::with_template("{prefix:>10}  {bar:50.green/dim}  {pos}/{len}")
            .expect("a valid template")
            .progress_chars("━━─");
        let add = |name: &'static str, length: u64| {
            bars.add(ProgressBar::new(length).with_style(style.clone()).with_prefix(name))
        };
        Self {
            accepted: add("accepted", orders),
            sold_out: add("sold out", buyers - orders),
            unknown: add("unknown", 0),
            written: add("in MySQL", units),
        }
    }

    fn abandon(&self) {
        for bar in [&self.accepted, &self.sold_out, &self.unknown, &self.written] {
            bar.abandon();
        }
    }
}

/// Asks MySQL for the units sold, for as long as it answers.
async fn follow(mut store: StoreWitness, sale: SaleId, before: Units, written: Arc<AtomicU64>) {
    while let Ok((_, sold)) = store.counts(&sale).await {
        written.store(sold.saturating_sub(before), Ordering::Relaxed);
        tokio::time::sleep(ASK_EVERY).await;
    }
}
