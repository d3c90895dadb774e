-- The fence, in front of every script that asks for it.
--
-- A sale is trusted on the server that verified it (`fence`, a run_id), in the history of writes that it went on with
-- then (`replid`, a master_replid). A restart, and another server, have another run_id. A primary that was demoted,
-- was given the data of its successor and is promoted again has not: it goes on with another history.

local here = redis.call('INFO', 'server', 'replication')

-- Whether these are the ones of now. Looked for as they stand there: a pattern would cost as much as all the rest that
-- a call does once. A sale of before there was `replid` has none.
local function stands(fence, replid)
  return fence and here:find('run_id:' .. fence .. '\r\n', 1, true)
    and (not replid or here:find('master_replid:' .. replid .. '\r\n', 1, true))
end

-- Why nothing may be decided of a sale, or nil if it can be trusted. Whoever writes keeps a sentinel in each of its other
-- keys: one that is not there was lost.
local function doubt(fence, replid, state, buyers, orders, outbox)
  if not fence and not state then return 'absent' end
  if not stands(fence, replid) or redis.call('EXISTS', buyers, orders, outbox) ~= 3 then return 'untrusted' end
end
