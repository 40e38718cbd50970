-- Write a vCon and hand it on for an entry of another shard, which is checked and ended there.
-- header: {uuid, document key, meta key, rev (0: none, or any), born (0: any),
--          document arg (0: unchanged), index change, expiring key, document ttl ms (0: keep), index expiry ms, mark key,
--          mark ttl ms, finish, journal, record arg (0: none), history key}
-- index change: {} | {text, keys, previous text, previous keys}
-- finish: {} | {targets {{stream key, feeds}}, origin, trace, storages that give it back,
--         expire ms (-1: none)}
-- result: {'done', rev} | {'moved', rev} | {'deleted'} | {'type', key}
local uuid, document, meta = header[1], KEYS[header[2]], KEYS[header[3]]
local change, finish, mark = header[7], header[13], KEYS[header[11]]

-- The entry came this far before, and its own end did not follow.
local before = #finish > 0 and call('GET', mark)
if before then return {'done', tonumber(before)} end

local held = redis.pcall('HMGET', meta, 'rev', 'deleted', 'born', 'idx')
if held.err then return {'type', meta} end
local rev = tonumber(held[1] or 0)
if held[2] or (header[5] > 0 and tonumber(held[3] or 0) ~= header[5]) then return {'deleted'} end
if header[4] > 0 and rev ~= header[4] then return {'moved', rev} end
-- What had no revision when it was read takes nothing from what has one by now.
if header[4] == 0 and rev > 0 and (header[6] > 0 or (finish[4] or '') ~= '') then
  return {'moved', rev}
end
if #change > 0 and (held[4] or '') ~= change[3] then return {'moved', rev} end
local fits, wrong = all_types(change[2] or {}, 'zset')
if not fits then return {'type', wrong} end
for _, target in ipairs(finish[1] or {}) do
  if not is_type(KEYS[target[1]], 'stream') then return {'type', KEYS[target[1]]} end
end

if header[6] > 0 then
  rev = next_rev(rev)
  call('SET', document, ARGV[header[6]])
  call('HSET', meta, 'rev', integer(rev))
  if #change > 0 then
    call('HSET', meta, 'idx', change[1])
    reindex(uuid, change[4], change[2], header[10])
  end
end
if #finish > 0 then
  for _, target in ipairs(finish[1]) do
    add_entry(KEYS[target[1]], uuid, now_ms, finish[2], finish[3], target[2])
    call('HINCRBY', meta, target[2] and 'open' or 'egress', 1)
  end
  if finish[4] ~= '' then
    call('HSET', meta, 'stored', integer(rev), 'at', finish[4])
  else
    call('HSET', meta, 'done', integer(rev))
  end
  if finish[5] >= 0 then call('HSET', meta, 'ttl', integer(finish[5])) end
  look_and_let_expire(uuid, document, meta, KEYS[header[8]], header[9], header[10])
  call('SET', mark, integer(rev), 'PX', header[12])
end
if header[15] > 0 then remember(header[14], KEYS[header[16]], uuid, ARGV[header[15]]) end
return {'done', rev}
