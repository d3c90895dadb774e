-- Looks an order up.
--
-- KEYS  1 sale  2 buyers  3 orders  4 outbox
-- ARGV  1 id
-- Result: {"absent"}, {"untrusted"}, {"unknown"}, or {"P" or "A", record}; P: its event is in the outbox

assert(#KEYS == 4 and #ARGV == 1, 'find: bad arity')
local sale = redis.call('HMGET', KEYS[1], 'fence', 'state', 'replid')
if not sale[1] and not sale[2] then return { 'absent' } end
if not stands(sale[1], sale[3]) or redis.call('EXISTS', KEYS[2], KEYS[3], KEYS[4]) ~= 3 then
  return { 'untrusted' }
end
local record = redis.call('HGET', KEYS[3], ARGV[1])
if not record then return { 'unknown' } end
return { redis.call('ZSCORE', KEYS[4], ARGV[1]) and 'P' or 'A', record }
