// Package schedule starts instructions at the times that people have set for them: once or weekly, in a time zone, not on holidays, and says what
// became of the runs that were missed.
//
// It is not about what the instructions do (appliance/operation).
package schedule
