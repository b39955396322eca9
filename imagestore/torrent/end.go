package torrent

import "aula/imagestore/torrent/metainfo"

// End ends a torrent that is complete, as if it had been shared for long enough; one that is not open, or not complete yet, goes on.
func (c *Client) End(h metainfo.Hash) {
	c.mu.Lock()
	s := c.swarms[h]
	c.mu.Unlock()
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
}

// end ends sharing; the mutex is held.
func (s *swarm) end() {
	select {
	case <-s.enough:
	default:
		close(s.enough)
	}
}
