//! Pages for people: the dashboard, and the description of the interface. Everything they need is in the
//! binary; they load nothing from elsewhere, and their policy would not let them.

use std::sync::{Arc, LazyLock};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    web::{self, Bytes, Data, ServiceConfig},
};
use utoipa_swagger_ui::Config;

use super::{READ_ONLY, get, json, json_bytes, resource};
use crate::{description, measures::HttpMeasures, problem::Problem, services::Services};

/// Scripts and styles of our own, nothing inline, nothing from elsewhere.
const STRICT: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Swagger UI writes styles into its elements, and its pictures are in its style sheet.
const SWAGGER: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// What tells the page that it may buy.
const PROFILE: &str = "data-profile=\"prod\"";
const DEV_PROFILE: &str = "data-profile=\"dev\"";

/// A file that a page is made of: its name, what it is, and its contents.
type File = (&'static str, &'static str, &'static str);

macro_rules! file {
    ($name:literal, $media_type:expr) => {
        ($name, $media_type, include_str!(concat!("../../assets/", $name)))
    };
}

const DASHBOARD: &str = include_str!("../../assets/dashboard.html");
const DASHBOARD_FILES: [File; 7] = [
    file!("dashboard.css", CSS),
    file!("dashboard.js", JAVASCRIPT),
    file!("measures.js", JAVASCRIPT),
    file!("sales.js", JAVASCRIPT),
    file!("plot.js", JAVASCRIPT),
    file!("buy.js", JAVASCRIPT),
    file!("icon.svg", SVG),
];
const API_DOCS: &str = include_str!("../../assets/api-docs.html");
const API_DOCS_FILES: [File; 2] = [file!("api-docs.js", JAVASCRIPT), file!("icon.svg", SVG)];
/// What is served of Swagger UI.
const SWAGGER_FILES: [(&str, &str); 2] = [("swagger-ui.css", CSS), ("swagger-ui-bundle.js", JAVASCRIPT)];

/// Their contents: the answers to however many slow readers share them.
static SWAGGER_CONTENTS: LazyLock<[Bytes; 2]> =
    LazyLock::new(|| SWAGGER_FILES.map(|(name, _)| vendored(name)));
static OPENAPI: LazyLock<Bytes> = LazyLock::new(|| description::json().into());

pub(super) fn configure(config: &mut ServiceConfig, measures: &HttpMeasures) {
    let description = vec![get().to(api_description)];
    config
        .service(resource(measures, "/dashboard", READ_ONLY, vec![get().to(dashboard)]))
        .service(resource(measures, "/dashboard/flow", READ_ONLY, vec![get().to(flow)]))
        .service(resource(measures, "/dashboard/{file}", READ_ONLY, vec![get().to(dashboard_file)]))
        .service(resource(measures, "/api-docs", READ_ONLY, vec![get().to(api_docs)]))
        .service(resource(measures, "/api-docs/openapi.json", READ_ONLY, description))
        .service(resource(measures, "/api-docs/{file}", READ_ONLY, vec![get().to(api_docs_file)]))
        // As people type them.
        .service(web::redirect("/dashboard/", "/dashboard").permanent())
        .service(web::redirect("/api-docs/", "/api-docs").permanent());
}

async fn dashboard(services: Data<Services>) -> HttpResponse {
    if services.may_buy_on_page {
        page(HTML, STRICT, DASHBOARD.replace(PROFILE, DEV_PROFILE))
    } else {
        page(HTML, STRICT, DASHBOARD)
    }
}

async fn flow(services: Data<Services>) -> HttpResponse {
    json(StatusCode::OK, &services.flow.read().await)
}

async fn dashboard_file(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let name = request.match_info().query("file");
    find(&DASHBOARD_FILES, name).ok_or_else(Problem::not_found)
}

async fn api_docs() -> HttpResponse {
    page(HTML, SWAGGER, API_DOCS)
}

async fn api_description() -> HttpResponse {
    json_bytes(StatusCode::OK, OPENAPI.clone())
}

async fn api_docs_file(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let name = request.match_info().query("file");
    if let Some(ours) = find(&API_DOCS_FILES, name) {
        return Ok(ours);
    }
    let mut files = SWAGGER_FILES.iter().zip(&*SWAGGER_CONTENTS);
    let ((_, media_type), contents) =
        files.find(|((known, _), _)| *known == name).ok_or_else(Problem::not_found)?;
    Ok(page(media_type, SWAGGER, contents.clone()))
}

/// A file of Swagger UI.
fn vendored(name: &str) -> Bytes {
    let file = utoipa_swagger_ui::serve(name, Arc::new(Config::default())).ok().flatten();
    file.expect("the file is one that Swagger UI has").bytes.into_owned().into()
}

fn find(files: &[File], name: &str) -> Option<HttpResponse> {
    let (_, media_type, contents) = files.iter().find(|(known, ..)| *known == name)?;
    Some(page(media_type, STRICT, *contents))
}

fn page(media_type: &'static str, policy: &'static str, contents: impl Into<Bytes>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, media_type))
        .insert_header((CONTENT_SECURITY_POLICY, policy))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(contents.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_a_page_names_is_there() {
        for (page, folder, ours) in
            [(DASHBOARD, "/dashboard/", &DASHBOARD_FILES[..]), (API_DOCS, "/api-docs/", &API_DOCS_FILES[..])]
        {
            let named: Vec<_> = page.split('"').filter_map(|text| text.strip_prefix(folder)).collect();
            assert!(!named.is_empty(), "{folder}");
            // The description is a route, not a file.
            for name in named.into_iter().filter(|name| *name != "openapi.json") {
                let swagger = SWAGGER_FILES.iter().any(|(known, _)| *known == name);
                assert!(find(ours, name).is_some() || swagger, "{folder}{name}");
            }
        }
        assert_eq!(DASHBOARD.matches(PROFILE).count(), 1);
    }

    #[test]
    fn the_files_of_swagger_ui_are_in_the_binary() {
        for ((name, _), contents) in SWAGGER_FILES.iter().zip(&*SWAGGER_CONTENTS) {
            assert!(contents.len() > 100_000, "{name}");
        }
    }
}
