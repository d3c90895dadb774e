-- Swaps a rebuilt sale in, with a new fence, if the ledger still carries the rebuild's epoch, on the
-- server where it began, and what was loaded under temporary keys is complete.
--
-- KEYS  1 sale  2 buyers  3 orders  4 outbox  5 rebuild  6 loaded buyers  7 loaded orders
-- ARGV  1 epoch  2 entries of loaded buyers  3 entries of loaded orders, then field, value… of the sale
-- Result: {"swapped"}, {"superseded"} or {"incomplete"}

assert(#KEYS == 7 and #ARGV > 3 and #ARGV % 2 == 1, 'swap: bad arity')
local SALE, BUYERS, ORDERS, OUTBOX, REBUILD = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

local rebuild = redis.call('HMGET', REBUILD, 'epoch', 'runId', 'replid')
if rebuild[1] ~= ARGV[1] then return { 'superseded' } end
if not stands(rebuild[2], rebuild[3])
  or redis.call('HLEN', KEYS[6]) ~= tonumber(ARGV[2])
  or redis.call('HLEN', KEYS[7]) ~= tonumber(ARGV[3]) then
  return { 'incomplete' }
end

-- UNLINK frees a million old records in the background; RENAME alone would do it here and now.
redis.call('UNLINK', SALE, BUYERS, ORDERS, OUTBOX, REBUILD)
redis.call('RENAME', KEYS[6], BUYERS)
redis.call('RENAME', KEYS[7], ORDERS)
redis.call('PERSIST', BUYERS)
redis.call('PERSIST', ORDERS)
redis.call('ZADD', OUTBOX, 0, '')
redis.call('HSET', SALE, 'fence', here:match('run_id:(%x+)'), 'replid', here:match('master_replid:(%x+)'),
  'epoch', ARGV[1], unpack(ARGV, 4))
return { 'swapped' }
