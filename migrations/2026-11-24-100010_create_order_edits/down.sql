DROP TABLE IF EXISTS order_edits;
