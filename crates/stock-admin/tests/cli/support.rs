//! Surroundings of its own for each test: a database, sales and topics that nobody else has.

use std::{collections::BTreeMap, thread};

use assert_cmd::Command;
use deadpool_redis::redis;
use seckill_core::{
    ledger::{LedgerSale, Reservation, ReserveOutcome, SaleLookup, StockLedger, load::SwapOutcome},
    order::{BuyerId, Goods, OrderId, OrderRequest, Quantity, Units},
    order_log::topics,
    sale::{Sale, SaleId},
    settings::KafkaSettings,
    store::{Adjustment, CreateOutcome, OrderStore, StoredSale},
    testing::{TestDatabase, patient_ledger, patient_redis, terms},
};
use secrecy::ExposeSecret;
use serde_json::Value;

/// What a run of the program came to.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// What it printed under `--json`.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The same, if it exited with `code`.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// What it said on stderr, which must be one line.
    #[track_caller]
    pub fn complaint(&self) -> &str {
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        self.stderr.trim_end()
    }
}

/// Runs a command that is ready.
pub fn run(command: &mut Command) -> Ran {
    run_to_its_end(command).expect("stock-admin is not killed")
}

/// The same; nothing, if it was killed, as one is that has a timeout.
pub fn run_to_its_end(command: &mut Command) -> Option<Ran> {
    let output = command.output().expect("stock-admin can be run");
    Some(Ran {
        code: output.status.code()?,
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    })
}

/// The same, beside what this test itself does meanwhile.
pub async fn run_beside(mut command: Command) -> Ran {
    tokio::task::spawn_blocking(move || run(&mut command)).await.expect("stock-admin can be run")
}

/// The program, without any place of a test's own.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stock-admin"));
    command.args(arguments).env_remove("RUST_LOG").env("USER", "olga").env_remove("SUDO_USER");
    command
}

/// Both sides of a sale, to tell whether anything was changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Everything {
    stored: Option<StoredSale>,
    history: Vec<Adjustment>,
    ledger: BTreeMap<String, String>,
}

/// What one test works with.
pub struct Site {
    pub database: TestDatabase,
    pub store: OrderStore,
    pub ledger: StockLedger,
    pub kafka: KafkaSettings,
    has_topics: bool,
    sales: Vec<SaleId>,
}

impl Site {
    /// A migrated database and names of topics that are not there.
    pub async fn new() -> Self {
        Self::on(TestDatabase::create().await)
    }

    /// The same, on `database`.
    pub fn on(database: TestDatabase) -> Self {
        let kafka = KafkaSettings {
            kafka_brokers: variable("KAFKA_BROKERS"),
            orders_topic: format!("admin-test-{}", OrderId::fresh()),
            dead_letter_topic: format!("admin-test-dead-{}", OrderId::fresh()),
        };
        let store = database.store();
        let ledger = patient_ledger();
        Self { database, store, ledger, kafka, has_topics: false, sales: Vec::new() }
    }

    /// The same, with topics.
    pub async fn with_topics() -> Self {
        let mut site = Self::new().await;
        site.create_topics().expect(0);
        site
    }

    /// Runs `topics create`.
    pub fn create_topics(&mut self) -> Ran {
        self.has_topics = true;
        self.run(&["topics", "create", "--orders-partitions", "2", "--json"])
    }

    /// The program in these surroundings.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(arguments);
        command.envs(self.places());
        command
    }

    /// The variables that lead to these surroundings.
    pub fn places(&self) -> [(&'static str, &str); 4] {
        [
            ("DATABASE_URL", self.database.url().expose_secret()),
            ("SECKILL_ORDERS_TOPIC", &self.kafka.orders_topic),
            ("SECKILL_DEAD_LETTER_TOPIC", &self.kafka.dead_letter_topic),
            ("SECKILL_CONSUMER_GROUP", &self.kafka.orders_topic),
        ]
    }

    /// Runs the program in these surroundings.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        run(&mut self.command(arguments))
    }

    /// A name for a sale, whose keys go when the test ends.
    pub fn name(&mut self) -> SaleId {
        let sale = SaleId::parse(&format!("admin-{}", OrderId::fresh())).unwrap();
        self.sales.push(sale.clone());
        sale
    }

    /// A sale in the store that no ledger has.
    pub async fn unloaded_sale(&mut self, stock: Units) -> StoredSale {
        let sale = Sale { id: self.name(), ..terms(stock) };
        match self.store.create_sale(&sale, "test").await.unwrap() {
            CreateOutcome::Created(stored) => stored,
            CreateOutcome::AlreadyExists => panic!("{} exists", sale.id),
        }
    }

    /// A sale in store and ledger.
    pub async fn sale(&mut self, stock: Units) -> SaleId {
        let stored = self.unloaded_sale(stock).await;
        load(&self.ledger, &stored).await;
        stored.sale.id
    }

    /// Reserves `units` of `sale` for one buyer.
    pub async fn hold(&self, sale: &SaleId, units: Units) {
        let outcome = reserve(&self.ledger, sale, units).await;
        assert!(matches!(outcome, ReserveOutcome::Reserved(_)), "{outcome:?}");
    }

    /// The sale as the ledger has it.
    pub async fn in_ledger(&self, sale: &SaleId) -> LedgerSale {
        match self.ledger.sale(sale).await.unwrap() {
            SaleLookup::Trusted(found) => found,
            other => panic!("{other:?}"),
        }
    }

    /// The sale as the store has it.
    pub async fn in_store(&self, sale: &SaleId) -> StoredSale {
        self.store.sale(sale).await.unwrap().expect("the sale is in the store")
    }

    /// Everything that a command could have changed.
    pub async fn everything(&self, sale: &SaleId) -> Everything {
        let mut hgetall = redis::cmd("HGETALL");
        hgetall.arg(format!("seckill:{{{sale}}}:sale"));
        Everything {
            stored: self.store.sale(sale).await.unwrap(),
            history: self.store.history(sale).await.unwrap(),
            ledger: hgetall.query_async(&mut raw().await).await.unwrap(),
        }
    }

    /// Runs what must be refused with exit code 1 and one line, and checks that nothing has changed.
    #[track_caller]
    pub fn refused<'a>(
        &'a self,
        sale: &'a SaleId,
        arguments: &'a [&'a str],
    ) -> impl Future<Output = String> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let before = self.everything(sale).await;
            let ran = self.run(arguments);
            assert_eq!(ran.code, 1, "{caller}: {ran:?}");
            assert_eq!(ran.stdout, "", "{caller}");
            assert_eq!(self.everything(sale).await, before, "{caller}");
            ran.complaint().to_owned()
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let (sales, kafka, has_topics) = (self.sales.clone(), self.kafka.clone(), self.has_topics);
        // The test's own runtime may be the very one that is ending.
        let cleaned = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime to clean up").block_on(async {
                for sale in sales {
                    drop_keys(&sale).await;
                }
                if has_topics {
                    topics::delete(&kafka).await.expect("the topics can be deleted");
                }
            });
        });
        if cleaned.join().is_err() {
            eprintln!("topics or keys of {} are left behind", self.kafka.orders_topic);
        }
    }
}

/// A variable that `scripts/services env` gives.
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: eval \"$(scripts/services env)\""))
}

/// A raw connection, for doing to the ledger what no code of ours does.
pub async fn raw() -> redis::aio::MultiplexedConnection {
    patient_redis(&variable("REDIS_URL")).await
}

/// Loads a new sale the way an order-consumer does.
pub async fn load(ledger: &StockLedger, stored: &StoredSale) {
    let id = &stored.sale.id;
    assert!(ledger.begin_rebuild(id, 1).await.unwrap(), "superseded at once");
    let loading = ledger.start_loading(id, 1).await.unwrap();
    assert_eq!(loading.swap_in(&stored.sale, stored.adjustment).await.unwrap(), SwapOutcome::Swapped);
}

/// Reserves `units` of `sale` for one buyer, if they are left.
pub async fn reserve(ledger: &StockLedger, sale: &SaleId, units: Units) -> ReserveOutcome {
    let request = OrderRequest {
        buyer: BuyerId::parse("ben").unwrap(),
        goods: Goods::parse("phone").unwrap(),
        quantity: Quantity::new(units).unwrap(),
        remark: None,
    };
    let reservation = Reservation { sale: sale.clone(), id: OrderId::fresh(), request };
    ledger.reserve(sale, &[reservation]).await.unwrap().remove(0)
}

async fn drop_keys(sale: &SaleId) {
    let mut raw = raw().await;
    let pattern = format!("seckill:{{{sale}}}:*");
    let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut raw).await.unwrap();
    if !keys.is_empty() {
        redis::cmd("DEL").arg(keys).query_async::<()>(&mut raw).await.unwrap();
    }
}
