//! The tables, as `migrations/` makes them.

diesel::table! {
    sales (id) {
        id -> Varchar,
        title -> Varchar,
        stock -> BigInt,
        sold -> BigInt,
        per_buyer_limit -> Nullable<BigInt>,
        opens_at -> Nullable<Datetime>,
        closes_at -> Nullable<Datetime>,
        state -> Varchar,
        adjustment -> BigInt,
        epoch -> BigInt,
        rebuild_epoch -> BigInt,
        created_date -> Datetime,
        update_date -> Datetime,
    }
}

diesel::table! {
    orders (id) {
        id -> Binary,
        sale_id -> Nullable<Varchar>,
        user -> Varchar,
        goods -> Varchar,
        quantity -> BigInt,
        remark -> Nullable<Varchar>,
        openid -> Varchar,
        remain_count -> Nullable<BigInt>,
        status -> Varchar,
        kafka_raw_message -> Nullable<Text>,
        created_date -> Datetime,
        update_date -> Datetime,
        deleted_at -> Nullable<Datetime>,
        log_position -> Nullable<Varchar>,
        published_at -> Nullable<Datetime>,
        written_at -> Nullable<Datetime>,
    }
}

// The same table, for its other columns: diesel is built here for at most 16, and larger ones cost minutes
// of compiling.
diesel::table! {
    #[sql_name = "orders"]
    order_steps (id) {
        id -> Binary,
        sale_id -> Nullable<Varchar>,
        status -> Varchar,
        created_date -> Datetime,
        log_position -> Nullable<Varchar>,
        published_at -> Nullable<Datetime>,
        written_at -> Nullable<Datetime>,
        cancelled_at -> Nullable<Datetime>,
        returned_at -> Nullable<Datetime>,
    }
}

diesel::table! {
    stock_adjustments (id) {
        id -> BigInt,
        sale_id -> Varchar,
        delta -> BigInt,
        reason -> Varchar,
        actor -> Varchar,
        at -> Datetime,
    }
}

diesel::table! {
    stock_returns (order_id) {
        order_id -> Binary,
        sale_id -> Varchar,
    }
}

diesel::table! {
    order_edits (order_id) {
        order_id -> Binary,
        user -> Varchar,
        goods -> Varchar,
        remark -> Nullable<Varchar>,
        at -> Datetime,
    }
}

diesel::allow_tables_to_appear_in_same_query!(orders, stock_returns);
diesel::allow_tables_to_appear_in_same_query!(orders, order_edits);
