package server

import (
	"encoding/json"
	"errors"
	"io"
	"time"

	"go.uber.org/zap"

	"sluice/handover"
	"sluice/state"
)

// newsTime bounds the wait for a predecessor to put a change in force: no
// change is answered before that, for it would not hold for every request.
const newsTime = time.Second

// Succeed tells the predecessor every change of the state from now on, as long
// as it is there: requests that still come over its connections are routed as
// all others are. Of the file it keeps its own.
func (s *Server) Succeed(taken *handover.Takeover) {
	s.predecessor.Store(taken)
	s.keeper.OnChange(func(st state.State, _ []state.Event) { s.tell(st) })
}

// tell tells the predecessor, if there is one.
func (s *Server) tell(st state.State) {
	p := s.predecessor.Load()
	if p == nil {
		return
	}
	news, err := json.Marshal(st)
	if err == nil {
		err = p.Tell(news, newsTime)
	}
	if err == nil {
		return
	}
	if !errors.Is(err, io.EOF) {
		s.log.Warn("the process that was replaced doesn't follow changes any more; its last connections are served by the state before", zap.Error(err))
	}
	s.parted(p)
}

// parted forgets the predecessor.
func (s *Server) parted(p *handover.Takeover) {
	if p != nil && s.predecessor.CompareAndSwap(p, nil) {
		p.Close()
	}
}

// adopt takes in the state of the successor, and passes it on to a predecessor
// that is still there.
func (s *Server) adopt(news []byte) {
	var st state.State
	err := json.Unmarshal(news, &st)
	if err == nil {
		err = s.keeper.Adopt(s.keeping, st)
	}
	if err != nil && s.keeping.Err() == nil {
		s.log.Error("a change of the successor can't be followed", zap.Error(err))
	}
}
