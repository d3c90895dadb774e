-- What an operator made of an order by the original's `PUT /order`: shown under `/order` in place of what
-- the buyer sent. The order's own row stays as it was decided, for a retry and a rebuild compare with that.
CREATE TABLE IF NOT EXISTS order_edits (
    order_id BINARY(16) NOT NULL PRIMARY KEY,
    user VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
    goods VARCHAR(128) COLLATE utf8mb4_bin NOT NULL,
    remark VARCHAR(500) COLLATE utf8mb4_bin NULL,
    at DATETIME(3) NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
