-- Forgets the writer of an import that arrived whole.
--
-- ARGV: the writer.

redis.call('HDEL', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('HDEL', KEYS[6], ARGV[1])
return 0
