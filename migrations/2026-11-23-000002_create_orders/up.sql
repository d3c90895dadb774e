-- An order: every one that the order log told of, whatever became of it, and the hand-made ones
-- (those have no sale).
--
-- utf8mb4_bin tells apart all characters, but ignores spaces at the end of a text: 'a' = 'a '.
-- So buyers and goods are never compared or grouped in SQL.
CREATE TABLE IF NOT EXISTS orders (
    id BINARY(16) NOT NULL PRIMARY KEY,
    sale_id VARCHAR(64) COLLATE utf8mb4_bin NULL,
    user VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
    goods VARCHAR(128) COLLATE utf8mb4_bin NOT NULL,
    quantity BIGINT NOT NULL,
    remark VARCHAR(500) COLLATE utf8mb4_bin NULL,
    openid VARCHAR(128) COLLATE utf8mb4_bin NOT NULL,
    remain_count BIGINT NULL,
    status VARCHAR(16) NOT NULL,
    kafka_raw_message TEXT NULL,
    created_date DATETIME(3) NOT NULL,
    update_date DATETIME(3) NOT NULL,
    deleted_at DATETIME(3) NULL,
    UNIQUE KEY orders_openid (openid),
    KEY orders_sale (sale_id),
    KEY orders_newest (created_date, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
