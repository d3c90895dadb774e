-- When an order came to each step of its way, and where in the order log it is (PARTITION/OFFSET). Nothing where it
-- is not known: for orders from before these columns, and for steps that have not come.
--
-- One DDL, and only if it has not been done: a migration that died before it was noted is run again, and
-- MySQL knows no ADD COLUMN IF NOT EXISTS. Columns at the end are added without touching any row.
SET @add_order_steps = (
    SELECT IF(COUNT(*) = 0,
        'ALTER TABLE orders
            ADD COLUMN log_position VARCHAR(40) NULL,
            ADD COLUMN published_at DATETIME(3) NULL,
            ADD COLUMN written_at DATETIME(3) NULL,
            ADD COLUMN cancelled_at DATETIME(3) NULL,
            ADD COLUMN returned_at DATETIME(3) NULL',
        'DO 0')
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'orders' AND column_name = 'written_at'
);
PREPARE add_order_steps FROM @add_order_steps;
EXECUTE add_order_steps;
DEALLOCATE PREPARE add_order_steps;
