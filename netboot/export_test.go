package netboot

import "time"

// SetIntervals changes how often a Server that is not run yet looks for other servers.
func (s *Server) SetIntervals(seldom, often time.Duration) {
	s.keeper.seldom, s.keeper.often = seldom, often
}
