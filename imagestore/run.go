package imagestore

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// Run watches the folder for files that people put there, brings old revisions up to date, empties the trash of what has
// expired, and reads a thirtieth of the images again every night, until ctx ends. It is called once, before Close.
func (r *Repository) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	r.nudge()
	for _, part := range []func(context.Context) error{r.watch, r.work, r.tidy, r.scrub} {
		group.Go(func() error { return part(ctx) })
	}
	return group.Wait()
}
