ALTER TABLE orders
    DROP COLUMN log_position,
    DROP COLUMN published_at,
    DROP COLUMN written_at,
    DROP COLUMN cancelled_at,
    DROP COLUMN returned_at;
