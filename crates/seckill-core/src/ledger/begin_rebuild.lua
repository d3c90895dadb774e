-- Takes the fence off a sale, so that nothing is decided until a rebuild has swapped it in anew.
--
-- KEYS  1 sale  2 rebuild
-- ARGV  1 epoch of the rebuild
-- Result: {"begun"}, or {"superseded"} where a rebuild of a later epoch has begun
--
-- The rebuild key remembers the epoch and the server, so that the swap can tell whether both still stand.

assert(#KEYS == 2 and #ARGV == 1, 'begin_rebuild: bad arity')
local epoch = tonumber(ARGV[1])
local begun = tonumber(redis.call('HGET', KEYS[2], 'epoch') or -1)
local current = tonumber(redis.call('HGET', KEYS[1], 'epoch') or -1)
if epoch <= begun or epoch <= current then return { 'superseded' } end
redis.call('HSET', KEYS[2], 'epoch', ARGV[1], 'runId', redis.call('INFO', 'server'):match('run_id:(%x+)'))
redis.call('HDEL', KEYS[1], 'fence')
return { 'begun' }
