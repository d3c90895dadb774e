//! What is measured of HTTP. Handles are made once a path: an answer only adds to them.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use actix_web::http::StatusCode;
use metrics::{Counter, Histogram, counter, histogram};
use parking_lot::Mutex;

/// The statuses that are answered; any other is counted as 500.
const STATUSES: [u16; 16] = [200, 201, 202, 204, 400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 503];
const OTHER: usize = 14;

/// The measures of every path, shared by all workers.
#[derive(Clone, Default)]
pub struct HttpMeasures(Arc<Mutex<Vec<Arc<PathMeasures>>>>);

/// What is measured of one path.
pub struct PathMeasures {
    path: &'static str,
    seconds: Histogram,
    answers: [OnceLock<Counter>; STATUSES.len()],
}

impl HttpMeasures {
    /// The measures of `path`.
    pub fn path(&self, path: &'static str) -> Arc<PathMeasures> {
        let mut paths = self.0.lock();
        if let Some(known) = paths.iter().find(|known| known.path == path) {
            return Arc::clone(known);
        }
        let seconds = histogram!("seckill_http_request_seconds", "path" => path);
        let measures = Arc::new(PathMeasures { path, seconds, answers: Default::default() });
        paths.push(Arc::clone(&measures));
        measures
    }

    /// Every path that there is.
    pub fn paths(&self) -> Vec<&'static str> {
        self.0.lock().iter().map(|path| path.path).collect()
    }
}

impl PathMeasures {
    /// Notes an answer of `status`, `after` the request's head was read.
    pub fn answered(&self, status: StatusCode, after: Duration) {
        let place = STATUSES.iter().position(|known| *known == status.as_u16()).unwrap_or(OTHER);
        let counter = self.answers[place].get_or_init(|| {
            counter!("seckill_http_requests_total", "path" => self.path, "code" => STATUSES[place].to_string())
        });
        counter.increment(1);
        self.seconds.record(after.as_secs_f64());
    }
}
