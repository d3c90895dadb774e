//! Requests rendered once: for each one sent, only the buyer's number is written into a copy.

use seckill_core::{order::OrderId, sale::SaleId};

/// Digits of a buyer's number. All numbers have as many, so that all requests have the same length.
const DIGITS: usize = 9;

/// Most buyers of one run.
pub const MAX_BUYERS: u64 = 999_999_999;

/// Who the buyers of one run are and what each of them asks for.
#[derive(Clone, Debug)]
pub struct Crowd {
    /// What makes the names of this run its own, so that runs on one sale do not meet.
    pub run: String,
    /// The sales they buy in, one buyer after the other in the next.
    pub sales: Vec<SaleId>,
    /// Units that each asks for.
    pub quantity: u64,
    /// Which share of them sends an idempotency key, 0 to 1.
    pub keyed_share: f64,
    /// Every so many-th keyed buyer asks once more after it has won; none: nobody does.
    pub replay_every: Option<u64>,
    /// Characters of the remark that each sends; none: no remark.
    pub remark_length: usize,
}

impl Crowd {
    /// The name of buyer `number`.
    pub fn user(&self, number: u64) -> String {
        format!("buyer-{}-{number:0DIGITS$}", self.run)
    }

    /// The idempotency key of buyer `number`, if it sends one.
    pub fn key(&self, number: u64) -> Option<String> {
        self.is_keyed(number).then(|| format!("key-{}-{number:0DIGITS$}", self.run))
    }

    /// Whether buyer `number` asks once more with its key after it has won.
    pub fn asks_again(&self, number: u64) -> bool {
        self.is_keyed(number) && self.replay_every.is_some_and(|every| number.is_multiple_of(every))
    }

    /// Whether buyer `number` sends an idempotency key. Spreads them evenly: it does if the count of them steps up there.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers below MAX_BUYERS")]
    pub fn is_keyed(&self, number: u64) -> bool {
        let keyed_before = |number: u64| (number as f64 * self.keyed_share) as u64;
        keyed_before(number + 1) > keyed_before(number)
    }
}

/// What one crowd sends to one host.
#[derive(Clone, Debug)]
pub struct Requests {
    sales: Vec<SaleRequests>,
}

/// The order request in one sale, with and without a key.
#[derive(Clone, Debug)]
struct SaleRequests {
    keyed: Template,
    unkeyed: Template,
    look: (String, String),
}

#[derive(Clone, Debug)]
struct Template {
    bytes: Vec<u8>,
    numbers: Vec<usize>,
}

/// Stands where the buyer's number goes. No host, sale or run name can contain it.
const NUMBER: &str = "#########";

impl Requests {
    /// Renders what `crowd` sends to `host`.
    pub fn render(crowd: &Crowd, host: &str) -> Self {
        Self { sales: crowd.sales.iter().map(|sale| SaleRequests::render(crowd, sale, host)).collect() }
    }

    /// Those of buyer `number`.
    fn of(&self, number: u64) -> &SaleRequests {
        let place = number % self.sales.len() as u64;
        &self.sales[usize::try_from(place).expect("fewer sales than memory has bytes")]
    }

    /// Writes the order request of buyer `number` over what `out` held.
    pub fn order(&self, number: u64, keyed: bool, out: &mut Vec<u8>) {
        let requests = self.of(number);
        let template = if keyed { &requests.keyed } else { &requests.unkeyed };
        template.fill(number, out);
    }

    /// Writes the request by which buyer `number` asks for order `id` over what `out` held.
    pub fn look(&self, number: u64, id: OrderId, out: &mut Vec<u8>) {
        let look = &self.of(number).look;
        out.clear();
        out.extend_from_slice(look.0.as_bytes());
        out.extend_from_slice(id.to_string().as_bytes());
        out.extend_from_slice(look.1.as_bytes());
    }
}

impl SaleRequests {
    fn render(crowd: &Crowd, sale: &SaleId, host: &str) -> Self {
        let (run, quantity) = (&crowd.run, crowd.quantity);
        let remark = match crowd.remark_length {
            0 => String::new(),
            length => format!(r#","remark":"{}""#, "x".repeat(length)),
        };
        let body =
            format!(r#"{{"user":"buyer-{run}-{NUMBER}","goods":"flash","quantity":{quantity}{remark}}}"#);
        let render = |key: &str| {
            Template::new(&format!(
                "POST /v1/sales/{sale}/orders HTTP/1.1\r\nHost: {host}\r\n{key}\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ))
        };
        Self {
            keyed: render(&format!("Idempotency-Key: key-{run}-{NUMBER}\r\n")),
            unkeyed: render(""),
            look: (format!("GET /v1/sales/{sale}/orders/"), format!(" HTTP/1.1\r\nHost: {host}\r\n\r\n")),
        }
    }
}

impl Template {
    fn new(text: &str) -> Self {
        let numbers = text.match_indices(NUMBER).map(|(at, _)| at).collect();
        Self { bytes: text.as_bytes().to_vec(), numbers }
    }

    fn fill(&self, number: u64, out: &mut Vec<u8>) {
        let mut digits = [b'0'; DIGITS];
        let mut rest = number;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).expect("a digit");
            rest /= 10;
        }
        out.clear();
        out.extend_from_slice(&self.bytes);
        for &at in &self.numbers {
            out[at..at + DIGITS].copy_from_slice(&digits);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd(keyed_share: f64) -> Crowd {
        Crowd {
            run: "r1".into(),
            sales: vec![SaleId::parse("spring").unwrap()],
            quantity: 2,
            keyed_share,
            replay_every: None,
            remark_length: 0,
        }
    }

    #[test]
    fn a_request_names_the_same_buyer_and_key_as_the_history() {
        let crowd = crowd(1.0);
        let requests = Requests::render(&crowd, "localhost:3000");
        let mut out = Vec::new();
        requests.order(42, true, &mut out);
        let text = String::from_utf8(out.clone()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /v1/sales/spring/orders HTTP/1.1\r\nHost: localhost:3000\r\n"));
        assert!(head.contains(&format!("Idempotency-Key: {}\r\n", crowd.key(42).unwrap())));
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
        assert_eq!(body, format!(r#"{{"user":"{}","goods":"flash","quantity":2}}"#, crowd.user(42)));

        requests.order(42, false, &mut out);
        assert!(!String::from_utf8(out).unwrap().contains("Idempotency-Key"));
    }

    #[test]
    fn buyers_take_turns_in_the_sales_and_say_what_they_are_asked_to() {
        let sales = ["spring", "summer"].map(|name| SaleId::parse(name).unwrap()).to_vec();
        let requests = Requests::render(&Crowd { sales, remark_length: 3, ..crowd(0.0) }, "localhost");
        let mut out = Vec::new();
        for (number, sale) in [(0, "spring"), (1, "summer"), (2, "spring")] {
            requests.order(number, false, &mut out);
            let text = String::from_utf8(out.clone()).unwrap();
            assert!(text.starts_with(&format!("POST /v1/sales/{sale}/orders HTTP/1.1\r\n")), "{text}");
            assert!(text.ends_with(r#""quantity":2,"remark":"xxx"}"#), "{text}");
        }
    }

    #[test]
    fn the_share_of_keyed_buyers_is_as_asked() {
        for (share, expected) in [(0.0, 0), (0.25, 250), (0.5, 500), (1.0, 1000)] {
            let crowd = crowd(share);
            assert_eq!((0..1000).filter(|&number| crowd.key(number).is_some()).count(), expected);
        }
    }
}
