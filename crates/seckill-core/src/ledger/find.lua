-- Looks an order up.
--
-- KEYS  1 sale  2 buyers  3 orders  4 outbox
-- ARGV  1 id
-- Result: {"absent"}, {"untrusted"}, {"unknown"}, or {"P" or "A", record}; P: its event is in the outbox

assert(#KEYS == 4 and #ARGV == 1, 'find: bad arity')
local sale = redis.call('HMGET', KEYS[1], 'fence', 'replid', 'state')
local why = doubt(sale[1], sale[2], sale[3], there(KEYS[2], KEYS[3], KEYS[4]))
if why then return { why } end
local record = redis.call('HGET', KEYS[3], ARGV[1])
if not record then return { 'unknown' } end
return { redis.call('ZSCORE', KEYS[4], ARGV[1]) and 'P' or 'A', record }
