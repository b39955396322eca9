package lab

import "context"

// bootClientOS has accepted PCs without work boot the client OS, and not their own disk as they would in a classroom: what
// is shown here is mostly what they do when they are told to.
func (l *Lab) bootClientOS(ctx context.Context) error {
	// MARK: here goes the API's call for BootSettings.Accepted = "client", unless Config.OwnDisk.
	_ = ctx
	return nil
}
