//! Responses to invalid input, compared with FastAPI 0.165 and pydantic 2.14.

use axum::body::Body;
use axum::http::Request;
use axum::http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::support::{Answer, TestApp, product};

#[tokio::test]
async fn invalid_query_parameters() {
    let app = TestApp::in_memory().await;
    let int_parsing = "Input should be a valid integer, unable to parse string as an integer";
    let table = [
        (
            "/products?per_page=0&page=x",
            json!([
                {"type": "int_parsing", "loc": ["query", "page"], "msg": int_parsing, "input": "x"},
                {"type": "greater_than_equal", "loc": ["query", "per_page"],
                    "msg": "Input should be greater than or equal to 1", "input": "0",
                    "ctx": {"ge": 1}},
            ]),
        ),
        (
            "/products?page=",
            json!([
                {"type": "int_parsing", "loc": ["query", "page"], "msg": int_parsing, "input": ""},
            ]),
        ),
        (
            "/products?per_page=1000&page=-3",
            json!([
                {"type": "greater_than_equal", "loc": ["query", "page"],
                    "msg": "Input should be greater than or equal to 1", "input": "-3",
                    "ctx": {"ge": 1}},
                {"type": "less_than_equal", "loc": ["query", "per_page"],
                    "msg": "Input should be less than or equal to 100", "input": "1000",
                    "ctx": {"le": 100}},
            ]),
        ),
    ];
    for (path, detail) in table {
        assert_refused(&app.get(path).await, &detail, path);
    }
}

#[tokio::test]
async fn query_parameters_are_lenient() {
    let app = TestApp::in_memory().await;
    for (path, page, per_page) in [
        ("/products?page=%205%20&per_page=1_0", 5, 10),
        ("/products?page=%2B5&per_page=2.00", 5, 2),
        ("/products?page=1&page=2", 2, 20),
        ("/products?page=99999999999999999999", i64::MAX, 20),
    ] {
        let answer = app.get(path).await.ok();
        assert_eq!((&answer["page"], &answer["per_page"]), (&json!(page), &json!(per_page)));
    }
    assert_eq!(app.get("/products?category=toys&category=books").await.ok()["total"], 200);
    assert_eq!(app.get("/products?category").await.ok()["total"], 1_000);
}

#[tokio::test]
async fn invalid_members_of_product() {
    let app = TestApp::in_memory().await;
    let table = [
        ("id", json!(1), "string_type", "Input should be a valid string"),
        ("name", json!(null), "string_type", "Input should be a valid string"),
        ("category", json!([]), "string_type", "Input should be a valid string"),
        ("price", json!(null), "float_type", "Input should be a valid number"),
        (
            "price",
            json!("x"),
            "float_parsing",
            "Input should be a valid number, unable to parse string as a number",
        ),
        ("price", json!("inf"), "finite_number", "Input should be a finite number"),
        ("in_stock", json!(0.5), "bool_type", "Input should be a valid boolean"),
        (
            "in_stock",
            json!(2),
            "bool_parsing",
            "Input should be a valid boolean, unable to interpret input",
        ),
        ("created_at", json!(true), "datetime_type", "Input should be a valid datetime"),
    ];
    for (member, input, kind, message) in table {
        let mut faulty = product("a", "books");
        faulty[member] = input.clone();
        let detail =
            json!([{"type": kind, "loc": ["body", 1, member], "msg": message, "input": input}]);
        let answer = app.post_batch(json!([product("b", "books"), faulty])).await;
        assert_refused(&answer, &detail, member);
    }
}

#[tokio::test]
async fn invalid_dates_name_the_reason() {
    let app = TestApp::in_memory().await;
    for (input, kind, wanted, reason) in [
        (json!("abc"), "datetime_from_date_parsing", "datetime or date", "input is too short"),
        (
            json!(253_402_300_800_000_i64),
            "datetime_parsing",
            "datetime",
            "dates after 9999 are not supported as unix timestamps",
        ),
    ] {
        let mut faulty = product("a", "books");
        faulty["created_at"] = input.clone();
        let detail = json!([{
            "type": kind,
            "loc": ["body", 0, "created_at"],
            "msg": format!("Input should be a valid {wanted}, {reason}"),
            "input": input,
            "ctx": {"error": reason},
        }]);
        assert_refused(&app.post_batch(json!([faulty])).await, &detail, reason);
    }
}

#[tokio::test]
async fn batch_reports_faults_in_order() {
    let app = TestApp::in_memory().await;
    let item = json!({"id": 1, "name": "n", "category": "c", "price": "x", "extra": 3});
    let answer = app.post_batch(json!([item, 5])).await;
    let found: Vec<(&str, &Value)> = answer.body["detail"]
        .as_array()
        .unwrap()
        .iter()
        .map(|violation| (violation["type"].as_str().unwrap(), &violation["loc"]))
        .collect();
    assert_eq!(
        found,
        [
            ("string_type", &json!(["body", 0, "id"])),
            ("float_parsing", &json!(["body", 0, "price"])),
            ("missing", &json!(["body", 0, "in_stock"])),
            ("missing", &json!(["body", 0, "created_at"])),
            ("model_attributes_type", &json!(["body", 1])),
        ]
    );
}

#[tokio::test]
async fn body_must_be_a_list() {
    let app = TestApp::in_memory().await;
    let list = |input: Value| {
        json!([{"type": "list_type", "loc": ["body"], "msg": "Input should be a valid list",
            "input": input}])
    };
    let json_type = "application/json";
    for (content_type, body, detail) in [
        (json_type, "null", list(json!(null))),
        (json_type, "\"x\"", list(json!("x"))),
        ("text/plain", "[]", list(json!("[]"))),
        (
            json_type,
            "",
            json!([{"type": "missing", "loc": ["body"], "msg": "Field required", "input": null}]),
        ),
    ] {
        assert_refused(&post(&app, content_type, body).await, &detail, body);
    }
}

#[tokio::test]
async fn invalid_json_reports_position() {
    let app = TestApp::in_memory().await;
    for (body, position) in [("{", 1), ("[1,]", 3), ("[\"é\",}", 5), ("[]x", 2)] {
        let answer = post(&app, "application/json", body).await;
        assert_eq!(answer.status, 422, "{body}");
        let violation = &answer.body["detail"][0];
        assert_eq!(violation["type"], "json_invalid", "{body}");
        assert_eq!(violation["loc"], json!(["body", position]), "{body}");
        assert_eq!(violation["msg"], "JSON decode error", "{body}");
        assert_eq!(violation["input"], json!({}), "{body}");
        assert!(violation["ctx"]["error"].is_string(), "{body}");
    }
}

#[tokio::test]
async fn unreadable_requests_answer_in_json() {
    let app = TestApp::in_memory().await;
    let not_utf8 = Request::post("/products/batch")
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(vec![0xff]));
    let too_large = Request::post("/products/batch").body(Body::from(vec![b' '; 3 << 20]));
    let bad_path = Request::get("/products/%ff").body(Body::empty());
    for (request, status) in [(not_utf8, 400), (too_large, 413), (bad_path, 400)] {
        let answer = app.send(request.unwrap()).await;
        assert_eq!(answer.status, status);
        assert!(answer.body["detail"].is_string(), "{answer:?}");
    }
}

async fn post(app: &TestApp, content_type: &str, body: &'static str) -> Answer {
    let request =
        Request::post("/products/batch").header(CONTENT_TYPE, content_type).body(Body::from(body));
    app.send(request.unwrap()).await
}

#[track_caller]
fn assert_refused(answer: &Answer, detail: &Value, what: &str) {
    assert_eq!(answer.status, 422, "{what}");
    assert_eq!(answer.content_type, "application/json", "{what}");
    assert_eq!(&answer.body["detail"], detail, "{what}");
}
