package esp

import (
	"sync"

	"vhub/internal/packet"
)

// Spreader runs parts of a job, at once where it has idle hands, and returns when
// all are done.
type Spreader interface {
	Spread(parts int, run func(part int))
}

// spreadUnit is what a part is a multiple of, in packets: a full set of lanes.
const spreadUnit = 8

// spreadJob is one batch in parts. It is pooled with its function, so that a batch
// costs no allocation.
type spreadJob struct {
	o       *Outbound
	packets []packet.Packet
	first   uint64
	size    int // packets of a part
	run     func(part int)
}

func (j *spreadJob) part(i int) {
	from := i * j.size
	to := min(from+j.size, len(j.packets))
	w, pool := j.o.worker(to - from)
	w.seal(j.packets[from:to], j.first+uint64(from))
	pool.Put(w)
}

var spreadJobs sync.Pool // of *spreadJob

// SealSpread is SealBatch with the encryption divided into up to parts pieces that s
// works on at once. Order and sequence numbers are the same as with SealBatch.
func (o *Outbound) SealSpread(packets []packet.Packet, proto uint8, parts int, s Spreader) (int, error) {
	size := (len(packets)/parts + spreadUnit - 1) / spreadUnit * spreadUnit
	if size == 0 || len(packets) <= size {
		return o.SealBatch(packets, proto)
	}
	packets, first, err := o.layOut(packets, proto)
	if len(packets) == 0 {
		return 0, err
	}
	j, _ := spreadJobs.Get().(*spreadJob)
	if j == nil {
		j = new(spreadJob)
		j.run = j.part
	}
	j.o, j.packets, j.first, j.size = o, packets, first, size
	s.Spread((len(packets)+size-1)/size, j.run)
	j.o, j.packets = nil, nil
	spreadJobs.Put(j)
	return len(packets), err
}
