-- Store each vCon of a batch: document, meta, listing, index, stream entries.
-- header: {batch key, batch ttl ms, index expiry ms, listing key, expiring key, items, journal,
--          partners key, idempotency ttl ms}
-- item: {uuid, document key, document arg, created, stream keys, index keys, index text, record arg,
--        origin, owner, and what is mostly left out: trace, expected rev, ownership,
--        idempotency key, fingerprint, previous index text, previous index keys}
-- Behind the key of the document come those of its meta hash and of its history.
-- result: the new rev | {'repeated', rev} | {'index', its text} | {'moved', rev} | {'gone'}
--         | {'owner'} | {'reused'} | {'type', key}
local batch_key, batch_ttl, index_expiry, created_key = KEYS[header[1]], header[2], header[3], KEYS[header[4]]
local expiring_key, partners_key = KEYS[header[5]], KEYS[header[8]]

-- The same batch once more: its answer was lost on the way, not its work.
local before = call('GET', batch_key)
if before then return cmsgpack.unpack(before) end

-- Partners are few, and most servers have none.
local has_partners = is_type(partners_key, 'hash') and known_types[partners_key] == 'hash'

-- Who stored the vCon that is there; nil when there is none. What has left Redis for the storages
-- is still listed, and partners are remembered apart. A conserver's has no revision and no owner.
local function owner_of(uuid, document, held)
  local rev, deleted, owner = held[1], held[3], held[6]
  if deleted then return nil end
  if not rev and known_types[document] == 'none' and not call('ZSCORE', created_key, uuid) then
    return nil
  end
  return owner or (has_partners and call('HGET', partners_key, uuid)) or ''
end

local function own(uuid, document, item, held)
  if item[13] == 'keep' then return owner_of(uuid, document, held) or item[10] end
  if item[13] == 'exclusive' then
    call('HSET', partners_key, uuid, item[10])
    has_partners = true
  elseif has_partners and held[6] ~= item[10] then
    call('HDEL', partners_key, uuid)
  end
  return item[10]
end

-- What became of the same request before: its result, or nil when it is new.
local function recall(item)
  local key = KEYS[item[14]]
  if not is_type(key, 'string') then return {'type', key} end
  local known = call('GET', key)
  if not known then return nil end
  if string.sub(known, 1, #item[15]) ~= item[15] then return {'reused'} end
  return {'repeated', tonumber(string.sub(known, #item[15] + 2))}
end

-- Why the item cannot be accepted whatever is in it, or nil. `held` is of the meta hash.
local function refusal(item, document, held)
  local rev, deleted, expected, ownership = held[1], held[3], item[12], item[13]
  if not expected and not ownership then return nil end
  if not is_type(document, 'string') then return {'type', document} end
  if expected == 0 and (deleted or (not rev and known_types[document] == 'none')) then
    return {'gone'}
  end
  if expected and expected > 0 and (deleted or tonumber(rev or 0) ~= expected) then
    return {'moved', tonumber(rev or 0)}
  end
  if ownership == 'exclusive' then
    if not is_type(partners_key, 'hash') then return {'type', partners_key} end
    if (owner_of(item[1], document, held) or item[10]) ~= item[10] then return {'owner'} end
  end
end

-- Write document and index: the key that holds something else, when nothing was written.
local function store(item, document)
  local bytes = ARGV[item[3]]
  -- Most vCons are new. Of those that are not, the type is to be looked at before.
  local is_new = call('SET', document, bytes, 'NX')
  local wrong = not is_new and not is_type(document, 'string') and document
  if not wrong and item[17] then
    local fits, other = all_types(item[6], 'zset')
    if fits then fits, other = all_types(item[17], 'zset') end
    wrong = not fits and other
    if not wrong then reindex(item[1], item[17], item[6], index_expiry) end
  elseif not wrong then
    wrong = index_into(item[1], item[6], index_expiry)
  end
  if wrong then
    if is_new then call('DEL', document) end
    return wrong
  end
  if not is_new then call('SET', document, bytes) end
end

local function accept(item)
  local before = item[14] and recall(item)
  if before then return before end
  local uuid, document, meta = item[1], KEYS[item[2]], KEYS[item[2] + 1]
  local streams = item[5]
  if not is_type(created_key, 'zset') then return {'type', created_key} end
  local fits, wrong = all_types(streams, 'stream')
  if not fits then return {'type', wrong} end

  local held = redis.pcall('HMGET', meta, 'rev', 'idx', 'deleted', 'born', 'ttl', 'owner', 'open')
  if held.err then return {'type', meta} end
  local rev, index, deleted = held[1], held[2] or '', held[3]
  local refused = refusal(item, document, held)
  if refused then return refused end
  -- The same index keys as before need no removal; others must have been declared.
  if index ~= item[7] and index ~= (item[16] or '') then return {'index', index} end
  wrong = store(item, document)
  if wrong then return {'type', wrong} end

  local new_rev, owner = next_rev(rev), own(uuid, document, item, held)
  if deleted then call('DEL', meta) end
  local rev_text = integer(new_rev)
  -- Entries that count a conserver's document go on to count it.
  local born = (not deleted and (held[4] or (tonumber(held[7] or 0) > 0 and '1'))) or rev_text
  if #streams > 0 then
    local open = not deleted and tonumber(held[7]) or 0
    call('HSET', meta, 'rev', rev_text, 'idx', item[7], 'owner', owner, 'born', born,
      'open', integer(open + #streams))
  else
    call('HSET', meta, 'rev', rev_text, 'idx', item[7], 'owner', owner, 'born', born)
  end
  if rev then
    call('PERSIST', meta)
    if held[5] then
      call('HDEL', meta, 'ttl')
      if is_type(expiring_key, 'zset') then call('ZREM', expiring_key, uuid) end
    end
  end
  call('ZADD', created_key, item[4], uuid)
  for _, stream in ipairs(streams) do
    add_entry(KEYS[stream], uuid, now_ms, item[9], item[11] or '', true)
  end
  if item[14] then
    call('SET', KEYS[item[14]], item[15] .. ' ' .. rev_text, 'PX', header[9])
  end
  remember(header[7], KEYS[item[2] + 2], uuid, ARGV[item[8]])
  return new_rev
end

local results = {}
for i, item in ipairs(header[6]) do results[i] = accept(item) end
call('SET', batch_key, cmsgpack.pack(results), 'PX', batch_ttl)
return results
