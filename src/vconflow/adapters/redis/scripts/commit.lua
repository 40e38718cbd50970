-- Write documents and decide what becomes of their entries, each alone and only if still owned.
-- header: {consumer, hold key, hold token, index expiry ms, document ttl ms (0: keep),
--          expiring key, items, journal}
-- item: {stream key, entry id, entry's meta key, run key, uuid, document key, meta key, rev
--        (0: any), born (0: any), document arg (0: unchanged), index change, action,
--        entry's uuid, entry's document key, record arg (0: none), history key
--        (0: none), entry's history key (0: none)}
-- index change: {} | {text, keys, previous text, previous keys}
-- action: {'keep'} | {'ack', counted} | {'defer', progress arg, due}
--         | {'bury', dead key, field args, even when deleted, counted}
--         | {'finish', targets {{stream key, feeds}}, origin, trace, stored, expire ms (-1: none),
--            counted}
-- counted: the meta field ('open', 'egress') in which this entry was counted
-- result: {'done', rev} | {'lost'} | {'moved', rev} | {'deleted'} | {'type', key}
local consumer, index_expiry, document_ttl = header[1], header[4], header[5]
local expiring_key = KEYS[header[6]]

-- Under our name another process may own what we believe to own: then nothing is ours any more.
local holder = call('GET', KEYS[header[2]])
local displaced = holder and holder ~= header[3]

local function acknowledge(item)
  call('XACK', KEYS[item[1]], GROUP, item[2])
  call('XDEL', KEYS[item[1]], item[2])
  call('DEL', KEYS[item[4]])
end

-- `held` is {rev, deleted, born} of the meta hash, if that was read.
local function release(meta, counted, entry_id, held)
  if held and held[1] then
    if not is_of(held[3], entry_id) then return end
  elseif not is_counted(meta, counted, entry_id) then
    return
  end
  if call('HINCRBY', meta, counted, -1) < 0 then call('HSET', meta, counted, 0) end
end

-- The meta field that says which revision went through.
local function finished(action) return action[5] and 'stored' or 'done' end

-- A document that was written has been noted as finished together with its revision.
local function finish(item, action, rev, held)
  local meta = KEYS[item[7]]
  for _, target in ipairs(action[2]) do
    add_entry(KEYS[target[1]], item[5], now_ms, action[3], action[4], target[2])
    call('HINCRBY', meta, target[2] and 'open' or 'egress', 1)
  end
  acknowledge(item)
  release(KEYS[item[3]], action[7], item[2], item[3] == item[7] and held)
  -- Redis holds the one copy of what went through without a storage: no dead letter takes it away.
  if item[10] == 0 then call('HSET', meta, finished(action), integer(rev)) end
  if action[6] >= 0 then call('HSET', meta, 'ttl', integer(action[6])) end
  let_expire(item[5], KEYS[item[6]], meta, expiring_key, document_ttl, index_expiry)
  if item[3] ~= item[7] then
    -- A link went on with another vCon: the entry's own is done with too.
    let_expire(item[13], KEYS[item[14]], KEYS[item[3]], expiring_key, document_ttl, index_expiry)
  end
end

local function bury(item, action, rev)
  local fields = {}
  for _, index in ipairs(action[3]) do fields[#fields + 1] = ARGV[index] end
  call('XADD', KEYS[action[2]], '*', 'rev', integer(rev), unpack(fields))
  -- A dead letter is open work, also that of a list which no chain read before.
  if action[5] ~= 'open' and is_counted(KEYS[item[3]], action[5], item[2]) then
    release(KEYS[item[3]], action[5], item[2])
    call('HINCRBY', KEYS[item[3]], 'open', 1)
  end
  acknowledge(item)
end

local function write(item, action, rev)
  local meta, change = KEYS[item[7]], item[11]
  local new_rev = next_rev(rev)
  local text = integer(new_rev)
  call('SET', KEYS[item[6]], ARGV[item[10]])
  if action[1] == 'finish' then
    call('HSET', meta, 'rev', text, finished(action), text)
  else
    call('HSET', meta, 'rev', text)
  end
  if #change > 0 then
    call('HSET', meta, 'idx', change[1])
    reindex(item[5], change[4], change[2], index_expiry)
  end
  return new_rev
end

local function note(item)
  if item[15] == 0 then return end
  -- What made the entry was noted too.
  local since = tonumber(string.match(item[2], '^%d+'))
  remember(header[8], KEYS[item[17]], item[13], ARGV[item[15]], since)
  if item[5] ~= item[13] then remember(header[8], KEYS[item[16]], item[5], ARGV[item[15]]) end
end

local function targets_fit(action)
  for _, target in ipairs(action[2]) do
    if not is_type(KEYS[target[1]], 'stream') then return false, KEYS[target[1]] end
  end
  return true
end

local function commit(item)
  local action, kind = item[12], item[12][1]
  if displaced or not owns(KEYS[item[1]], item[2], consumer) then return {'lost'} end
  if kind == 'ack' or item[3] ~= item[7] then
    if not is_type(KEYS[item[3]], 'hash') then return {'type', KEYS[item[3]]} end
  end
  if kind == 'ack' then
    acknowledge(item)
    release(KEYS[item[3]], action[2], item[2])
    return {'done', 0}
  end
  local held = redis.pcall('HMGET', KEYS[item[7]], 'rev', 'deleted', 'born', 'idx')
  if held.err then return {'type', KEYS[item[7]]} end
  local rev = tonumber(held[1] or 0)
  local deleted = held[2] or (item[9] > 0 and tonumber(held[3] or 0) ~= item[9])
  if deleted and not (kind == 'bury' and action[4]) then return {'deleted'} end
  if deleted then
    bury(item, action, 0)
    note(item)
    return {'done', 0}
  end
  if item[8] > 0 and rev ~= item[8] then return {'moved', rev} end
  local fits, wrong = all_types(item[11][2] or {}, 'zset')
  if not fits then return {'type', wrong} end
  if #item[11] > 0 and (held[4] or '') ~= item[11][3] then return {'moved', rev} end
  if kind == 'finish' then
    fits, wrong = targets_fit(action)
    if not fits then return {'type', wrong} end
  elseif kind == 'bury' and not is_type(KEYS[action[2]], 'stream') then
    return {'type', KEYS[action[2]]}
  end
  if item[10] > 0 then
    rev = write(item, action, rev)
    held[1] = rev
  end
  if kind == 'finish' then finish(item, action, rev, held)
  elseif kind == 'defer' then
    call('HSET', KEYS[item[4]], 'progress', ARGV[action[2]], 'due', integer(action[3]))
  elseif kind == 'bury' then bury(item, action, rev) end
  note(item)
  return {'done', rev}
end

local results = {}
for i, item in ipairs(header[7]) do results[i] = commit(item) end
return results
