-- Store each vCon of a batch: document, meta, listing, index, stream entries.
-- header: {batch key, batch ttl ms, index expiry ms, listing key, expiring key, journal,
--          partners key, idempotency ttl ms, sources, items}
-- source: {stream keys, record arg, origin, owner, whether it keeps its order}
-- items: one flat list, since a table for each would cost as much as a command:
--        {uuid, document key, document arg, created, source, index keys, index text, rare} of each.
--        Behind the document key come those of the meta hash and of the history.
-- rare: 0 | {trace, expected rev, ownership, idempotency key, fingerprint, previous index text,
--            previous index keys}
-- result: the new rev | {'repeated', rev} | {'index', its text} | {'behind'} | {'moved', rev} | {'gone'}
--         | {'owner'} | {'reused'} | {'type', key}
local batch_key, batch_ttl, index_expiry, created_key = KEYS[header[1]], header[2], header[3], KEYS[header[4]]
local expiring_key, journal, partners_key = KEYS[header[5]], header[6], KEYS[header[7]]
local idempotency_ttl, sources, items = header[8], header[9], header[10]
local VALUES, NOTHING = 8, {}

-- The same batch once more: its answer was lost on the way, not its work.
local before = call('GET', batch_key)
if before then return cmsgpack.unpack(before) end

-- Partners are few, and most servers have none.
local has_partners = is_type(partners_key, 'hash') and known_types[partners_key] == 'hash'

-- The item that is worked on. One table for all of them, one after the other.
local item = {}
local function turn_to(place)
  local uuid, key, document, created, source, index_keys, index_text, rare =
    unpack(items, place + 1, place + VALUES)
  item.uuid, item.document, item.meta, item.history = uuid, KEYS[key], KEYS[key + 1], KEYS[key + 2]
  item.bytes, item.created, item.index_keys, item.index_text =
    ARGV[document], created, index_keys, index_text
  item.streams, item.record, item.origin, item.owner, item.in_a_row = unpack(sources[source])
  item.trace, item.expected, item.ownership, item.marks, item.fingerprint, item.previous_text,
    item.previous_keys = unpack(rare ~= 0 and rare or NOTHING, 1, 7)
end

-- vCons, and sources that keep their order, of which an item comes again: what is behind it must
-- not be stored before it.
local postponed = {}
local function postpone(why, index)
  postponed[item.meta] = true
  if item.in_a_row then postponed[item.origin] = true end
  return {why, index}
end

-- Most vCons are new: that is asked of all of a batch at once.
local are_new, written = true, {}
local function look_at_metas()
  local metas = {}
  for place = 0, #items - 1, VALUES do metas[#metas + 1] = KEYS[items[place + 2] + 1] end
  by_hundreds(metas, function(...) are_new = are_new and call('EXISTS', ...) == 0 end)
end

-- What the meta hash of the item's vCon holds; nil when it is no hash.
local function read_meta()
  local held = {}
  if are_new and not written[item.meta] then return held end
  local reply = redis.pcall(
    'HMGET', item.meta, 'rev', 'idx', 'deleted', 'born', 'ttl', 'owner', 'open')
  if reply.err then return nil end
  held.rev, held.idx, held.deleted, held.born, held.ttl, held.owner, held.open = unpack(reply)
  return held
end

-- Who stored the vCon that is there; nil when there is none. What has left Redis for the storages
-- is still listed, and partners are remembered apart. A conserver's has no revision and no owner.
local function owner_of(held)
  if held.deleted then return nil end
  if not held.rev and known_types[item.document] == 'none'
    and not call('ZSCORE', created_key, item.uuid) then
    return nil
  end
  return held.owner or (has_partners and call('HGET', partners_key, item.uuid)) or ''
end

local function own(held)
  if item.ownership == 'keep' then return owner_of(held) or item.owner end
  if item.ownership == 'exclusive' then
    call('HSET', partners_key, item.uuid, item.owner)
    has_partners = true
  elseif has_partners and held.owner ~= item.owner then
    call('HDEL', partners_key, item.uuid)
  end
  return item.owner
end

-- What became of the same request before: its result, or nil when it is new.
local function recall()
  local key, fingerprint = KEYS[item.marks], item.fingerprint
  if not is_type(key, 'string') then return {'type', key} end
  local known = call('GET', key)
  if not known then return nil end
  if string.sub(known, 1, #fingerprint) ~= fingerprint then return {'reused'} end
  return {'repeated', tonumber(string.sub(known, #fingerprint + 2))}
end

-- Why the item cannot be accepted whatever is in it, or nil. `held` is of the meta hash.
local function refusal(held)
  local expected, ownership, document = item.expected, item.ownership, item.document
  if not expected and not ownership then return nil end
  if not is_type(document, 'string') then return {'type', document} end
  if expected == 0
    and (held.deleted or (not held.rev and known_types[document] == 'none')) then
    return {'gone'}
  end
  if expected and expected > 0 and (held.deleted or tonumber(held.rev or 0) ~= expected) then
    return {'moved', tonumber(held.rev or 0)}
  end
  if ownership == 'exclusive' then
    if not is_type(partners_key, 'hash') then return {'type', partners_key} end
    if (owner_of(held) or item.owner) ~= item.owner then return {'owner'} end
  end
end

-- Write document and index: the key that holds something else, when nothing was written.
local function store()
  local document, old, new = item.document, item.previous_keys, item.index_keys
  -- Most vCons are new. Of those that are not, the type is to be looked at before.
  local is_new = call('SET', document, item.bytes, 'NX')
  local wrong = not is_new and not is_type(document, 'string') and document
  if not wrong and old then
    local fits, other = all_types(new, 'zset')
    if fits then fits, other = all_types(old, 'zset') end
    wrong = not fits and other
    if not wrong then reindex(item.uuid, old, new, index_expiry) end
  elseif not wrong then
    wrong = index_into(item.uuid, new, index_expiry)
  end
  if wrong then
    if is_new then call('DEL', document) end
    return wrong
  end
  if not is_new then call('SET', document, item.bytes) end
end

-- The meta hash of what was stored; its new revision.
local function describe(held)
  local meta, deleted = item.meta, held.deleted
  local new_rev, owner = next_rev(held.rev), own(held)
  local rev_text = integer(new_rev)
  if deleted then call('DEL', meta) end
  -- Entries that count a conserver's document go on to count it.
  local open = not deleted and tonumber(held.open or 0) or 0
  local born = (not deleted and (held.born or (open > 0 and '1'))) or rev_text
  if #item.streams > 0 then
    call('HSET', meta, 'rev', rev_text, 'idx', item.index_text, 'owner', owner, 'born', born,
      'open', integer(open + #item.streams))
  else
    call('HSET', meta, 'rev', rev_text, 'idx', item.index_text, 'owner', owner, 'born', born)
  end
  written[meta] = true
  if held.rev then
    call('PERSIST', meta)
    if held.ttl then
      call('HDEL', meta, 'ttl')
      if is_type(expiring_key, 'zset') then call('ZREM', expiring_key, item.uuid) end
    end
  end
  return new_rev, rev_text
end

local function accept()
  local before = item.marks and recall()
  if before then return before end
  if postponed[item.meta] then return postpone('behind') end
  local streams = item.streams
  if not is_type(created_key, 'zset') then return {'type', created_key} end
  local fits, wrong = all_types(streams, 'stream')
  if not fits then return {'type', wrong} end

  local held = read_meta()
  if not held then return {'type', item.meta} end
  local refused = refusal(held)
  if refused then return refused end
  -- The same index keys as before need no removal; others must have been declared.
  local index = held.idx or ''
  if index == item.index_text then
    item.previous_keys = nil
  elseif index ~= (item.previous_text or '') then
    return postpone('index', index)
  end
  -- Not before: of all that is behind, the next call declares the index keys.
  if item.in_a_row and postponed[item.origin] then return postpone('behind') end
  wrong = store()
  if wrong then return {'type', wrong} end

  local new_rev, rev_text = describe(held)
  call('ZADD', created_key, item.created, item.uuid)
  for _, stream in ipairs(streams) do
    add_entry(KEYS[stream], item.uuid, now_ms, item.origin, item.trace or '', true)
  end
  if item.marks then
    call('SET', KEYS[item.marks], item.fingerprint .. ' ' .. rev_text, 'PX', idempotency_ttl)
  end
  remember(journal, item.history, item.uuid, ARGV[item.record])
  return new_rev
end

look_at_metas()
local results = {}
for place = 0, #items - 1, VALUES do
  turn_to(place)
  results[#results + 1] = accept()
end
call('SET', batch_key, cmsgpack.pack(results), 'PX', batch_ttl)
return results
