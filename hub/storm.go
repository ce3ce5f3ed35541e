package hub

import "sync/atomic"

// bucket is one storm limit: a token bucket kept as the time at which it will
// be full again, so that readers share one word and no lock (the generic cell
// rate algorithm, ITU-T I.371 annex A).
type bucket struct {
	full atomic.Int64 // microseconds of the hub's clock, times stormScale
}

// stormScale keeps the price of a frame exact enough at a million a second.
const stormScale = 1024

// take takes n frames out at the time now (microseconds) and tells whether
// they were there. rate is frames a second, burst frames at once; rate 0 is no
// limit.
func (b *bucket) take(now int64, n, rate, burst int) bool {
	if rate == 0 {
		return true
	}
	if burst == 0 {
		burst = rate
	}
	price := int64(1_000_000) * stormScale / int64(rate)
	now *= stormScale
	for {
		full := b.full.Load()
		after := max(full, now) + int64(n)*price
		// A large frame may be more than the burst: it passes when the bucket is full.
		if after-now > int64(burst)*price && full > now {
			return false
		}
		if b.full.CompareAndSwap(full, after) {
			return true
		}
	}
}

// storms are the buckets of a link.
type storms struct{ broadcast, multicast, unknown bucket }
