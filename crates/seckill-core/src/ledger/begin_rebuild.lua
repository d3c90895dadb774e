-- Takes the fence off a sale, so that nothing is decided until a rebuild has swapped it in anew.
--
-- KEYS  1 sale  2 rebuild
-- ARGV  1 epoch of the rebuild
-- Result: {"begun"}, or {"superseded"} where a rebuild of a later epoch has begun
--
-- The rebuild key remembers the epoch, the server and its history, so that the swap can tell whether all still stand.
-- What the rebuild before has loaded and did not swap in goes (`StockLedger::start_loading` has the names): a large
-- sale's is half of what Redis has room for.

assert(#KEYS == 2 and #ARGV == 1, 'begin_rebuild: bad arity')
for _, key in ipairs(KEYS) do
  -- Somebody else's. What else there may be of the sale the swap throws away.
  if redis.call('TYPE', key).ok ~= 'hash' then redis.call('UNLINK', key) end
end
local epoch = tonumber(ARGV[1])
local begun = tonumber(redis.call('HGET', KEYS[2], 'epoch') or -1)
local current = tonumber(redis.call('HGET', KEYS[1], 'epoch') or -1)
if epoch <= begun or epoch <= current then return { 'superseded' } end
local given_up = string.format('%s:%.0f:', KEYS[2], begun)
redis.call('UNLINK', given_up .. 'buyers', given_up .. 'orders')
redis.call('HSET', KEYS[2], 'epoch', ARGV[1], 'runId', here:match('run_id:(%x+)'),
  'replid', here:match('master_replid:(%x+)'))
redis.call('HDEL', KEYS[1], 'fence')
return { 'begun' }
