package esp

import (
	"crypto/cipher"
	"sync"
	"sync/atomic"
)

// Ciphers are some KiB an SA, and most SAs of idle clients carry a question and an
// answer a minute. So an SA at rest has its keys only, and borrows ciphers that all
// share, which are given its keys for each batch: that costs a microsecond and
// no allocation. One through which more goes has ciphers of its own, in a pool.

// secrets are what the ciphers of an SA are made of.
type secrets struct {
	suite Suite
	keys  Keys
	esn   bool
	ivs   [16]byte // Outbound with CBC: key of the function that makes IVs
}

// block is the SA's block cipher.
func (k *secrets) block() cipher.Block {
	b, err := k.suite.block(k.keys.Enc)
	if err != nil {
		panic(err) // Config.check knows the key's length
	}
	return b
}

func (k *secrets) newSealer() sealer {
	if k.suite.Cipher == AESGCM16 {
		return newGCM(k)
	}
	return newCBCSealer(k)
}

func (k *secrets) newOpener() opener {
	if k.suite.Cipher == AESGCM16 {
		return newGCM(k)
	}
	return newCBCOpener(k)
}

// rekeyer is a sealer or opener that can be given another SA's keys.
type rekeyer interface{ rekey(k *secrets) }

// shared are the ciphers of all SAs at rest.
type shared struct {
	sealers sync.Pool // of *sealWorker
	openers sync.Pool // of *openWorker
}

var (
	sharedGCM = shared{
		sealers: sync.Pool{New: func() any { return &sealWorker{sealer: &gcm{wide: new(wide)}} }},
		openers: sync.Pool{New: func() any { return &openWorker{opener: &gcm{wide: new(wide)}} }},
	}
	sharedCBC = shared{
		sealers: sync.Pool{New: func() any { return &sealWorker{sealer: &cbcSealer{lanes: new(lanes)}} }},
		openers: sync.Pool{New: func() any { return &openWorker{opener: &cbcOpener{fast: new(decrypter)}} }},
	}
)

// shared is what the SA may borrow; nil: nothing, with the library's ciphers alone.
func (k *secrets) shared() *shared {
	switch {
	case k.suite.Cipher == AESGCM16 && fastGCM:
		return &sharedGCM
	case k.suite.Cipher == AESCBC && fastCBC:
		return &sharedCBC
	}
	return nil
}

// restPackets is from how many packets between two calls of Rest on an SA has
// ciphers of its own.
const restPackets = 32

// pace tells whether an SA is at rest.
type pace struct {
	secrets
	own  atomic.Pointer[sync.Pool] // workers with the SA's keys; nil at rest
	lent atomic.Uint64             // packets for which it has borrowed since the last call of Rest, forged ones too
	seen atomic.Uint64             // packets at that time
}

// borrows returns what an SA that is at rest, and stays it with n more packets, is to
// borrow from.
func (p *pace) borrows(n int) *shared {
	s := p.shared()
	if s == nil || p.lent.Add(uint64(n)) >= restPackets {
		return nil
	}
	return s
}

// wake gives the SA a pool of its own.
func (p *pace) wake(worker func() any) *sync.Pool {
	pool := &sync.Pool{New: worker}
	p.own.Store(pool)
	return pool
}

func (p *pace) rest(packets uint64) {
	if packets-p.seen.Swap(packets) < restPackets {
		p.own.Store(nil)
	}
	p.lent.Store(0)
}

// Rest is to be called now and then. An SA through which little went since the last
// time lets its ciphers go; it makes new ones when it needs them.
func (in *Inbound) Rest() { in.pace.rest(in.packets.Load()) }

// Rest is Inbound's.
func (o *Outbound) Rest() { o.pace.rest(o.packets.Load()) }

// worker returns what n packets are opened with, and the pool where it goes afterwards.
func (in *Inbound) worker(n int) (*openWorker, *sync.Pool) {
	pool := in.own.Load()
	if pool == nil {
		if s := in.borrows(n); s != nil {
			w := s.openers.Get().(*openWorker)
			w.opener.(rekeyer).rekey(&in.secrets)
			return w, &s.openers
		}
		pool = in.wake(func() any { return &openWorker{opener: in.newOpener()} })
	}
	return pool.Get().(*openWorker), pool
}

// worker returns what n packets are sealed with, and the pool where it goes afterwards.
func (o *Outbound) worker(n int) (*sealWorker, *sync.Pool) {
	pool := o.own.Load()
	if pool == nil {
		if s := o.borrows(n); s != nil {
			w := s.sealers.Get().(*sealWorker)
			w.sealer.(rekeyer).rekey(&o.secrets)
			return w, &s.sealers
		}
		pool = o.wake(func() any { return &sealWorker{sealer: o.newSealer()} })
	}
	return pool.Get().(*sealWorker), pool
}
