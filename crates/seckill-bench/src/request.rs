//! Requests rendered once: for each one sent, only the buyer's number is written into a copy.

use seckill_core::{order::OrderId, sale::SaleId};

/// Digits of a buyer's number. All numbers have as many, so that all requests have the same length.
const DIGITS: usize = 9;

/// Most buyers of one run.
pub const MAX_BUYERS: u64 = 999_999_999;

/// How many buyers earlier the one came whose name a buyer has who returns.
const EARLIER: u64 = 151;

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
    /// Every so many-th keyed buyer is one who came earlier, and asks once more with another key; none: nobody does.
    pub returning_every: Option<u64>,
    /// Characters of the remark that each sends; none: no remark.
    pub remark_length: usize,
}

impl Crowd {
    /// The name of buyer `number`.
    pub fn user(&self, number: u64) -> String {
        format!("buyer-{}-{:0DIGITS$}", self.run, self.named_after(number))
    }

    /// The number that is in the name of buyer `number`: that of an earlier one, if it is one who returns.
    pub fn named_after(&self, number: u64) -> u64 {
        let Some(every) = self.returning_every else { return number };
        let returns = |number: u64| number.is_multiple_of(every) && self.is_keyed(number);
        match number.checked_sub(EARLIER) {
            Some(earlier) if returns(number) && self.is_keyed(earlier) && !returns(earlier) => earlier,
            _ => number,
        }
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
    names: Vec<usize>,
    keys: Vec<usize>,
}

/// Stands where the number in the buyer's name goes. No host, sale or run name can contain it.
const NAME: &str = "#########";
/// The same of the number in its key.
const KEY: &str = "@@@@@@@@@";

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

    /// Writes the order request of buyer `number`, who is named after `name`, over what `out` held.
    pub fn order(&self, number: u64, name: u64, keyed: bool, out: &mut Vec<u8>) {
        let requests = self.of(number);
        let template = if keyed { &requests.keyed } else { &requests.unkeyed };
        template.fill(number, name, out);
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
            format!(r#"{{"user":"buyer-{run}-{NAME}","goods":"flash","quantity":{quantity}{remark}}}"#);
        let render = |key: &str| {
            Template::new(&format!(
                "POST /v1/sales/{sale}/orders HTTP/1.1\r\nHost: {host}\r\n{key}\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ))
        };
        Self {
            keyed: render(&format!("Idempotency-Key: key-{run}-{KEY}\r\n")),
            unkeyed: render(""),
            look: (format!("GET /v1/sales/{sale}/orders/"), format!(" HTTP/1.1\r\nHost: {host}\r\n\r\n")),
        }
    }
}

impl Template {
    fn new(text: &str) -> Self {
        let places = |of| text.match_indices(of).map(|(at, _)| at).collect();
        Self { bytes: text.as_bytes().to_vec(), names: places(NAME), keys: places(KEY) }
    }

    fn fill(&self, number: u64, name: u64, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.bytes);
        for (places, number) in [(&self.names, name), (&self.keys, number)] {
            let digits = digits(number);
            for &at in places {
                out[at..at + DIGITS].copy_from_slice(&digits);
            }
        }
    }
}

fn digits(number: u64) -> [u8; DIGITS] {
    let mut digits = [b'0'; DIGITS];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).expect("a digit");
        rest /= 10;
    }
    digits
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
            returning_every: None,
            remark_length: 0,
        }
    }

    #[test]
    fn a_request_names_the_same_buyer_and_key_as_the_history() {
        let crowd = crowd(1.0);
        let requests = Requests::render(&crowd, "localhost:3000");
        let mut out = Vec::new();
        requests.order(42, 42, true, &mut out);
        let text = String::from_utf8(out.clone()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /v1/sales/spring/orders HTTP/1.1\r\nHost: localhost:3000\r\n"));
        assert!(head.contains(&format!("Idempotency-Key: {}\r\n", crowd.key(42).unwrap())));
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
        assert_eq!(body, format!(r#"{{"user":"{}","goods":"flash","quantity":2}}"#, crowd.user(42)));

        requests.order(42, 42, false, &mut out);
        assert!(!String::from_utf8(out).unwrap().contains("Idempotency-Key"));
    }

    #[test]
    fn buyers_take_turns_in_the_sales_and_say_what_they_are_asked_to() {
        let sales = ["spring", "summer"].map(|name| SaleId::parse(name).unwrap()).to_vec();
        let requests = Requests::render(&Crowd { sales, remark_length: 3, ..crowd(0.0) }, "localhost");
        let mut out = Vec::new();
        for (number, sale) in [(0, "spring"), (1, "summer"), (2, "spring")] {
            requests.order(number, number, false, &mut out);
            let text = String::from_utf8(out.clone()).unwrap();
            assert!(text.starts_with(&format!("POST /v1/sales/{sale}/orders HTTP/1.1\r\n")), "{text}");
            assert!(text.ends_with(r#""quantity":2,"remark":"xxx"}"#), "{text}");
        }
    }

    #[test]
    fn who_returns_has_a_name_from_before_and_a_key_of_its_own() {
        let crowd = Crowd { returning_every: Some(5), ..crowd(0.7) };
        let returning: Vec<u64> = (0..1_000).filter(|&number| crowd.named_after(number) != number).collect();
        assert_eq!(returning[0], 155);
        assert!(returning.len() > 80);
        for number in returning {
            let earlier = number - EARLIER;
            assert_eq!(crowd.user(number), crowd.user(earlier));
            assert!(crowd.key(number).is_some() && crowd.key(number) != crowd.key(earlier));
        }
        let mut out = Vec::new();
        Requests::render(&crowd, "localhost").order(155, crowd.named_after(155), true, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(&crowd.user(4)) && text.contains(&crowd.key(155).unwrap()), "{text}");
    }

    #[test]
    fn the_share_of_keyed_buyers_is_as_asked() {
        for (share, expected) in [(0.0, 0), (0.25, 250), (0.5, 500), (1.0, 1000)] {
            let crowd = crowd(share);
            assert_eq!((0..1000).filter(|&number| crowd.key(number).is_some()).count(), expected);
        }
    }
}
