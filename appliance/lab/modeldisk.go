package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"aula/appliance/lab/modeldisk"
	"aula/clientos/build"
)

// ModelDisk returns the path of the model PC's disk, to be used as DiskSpec.From, and makes it first if it is not in
// the cache folder. Only outside of Isolate is there a network to make it from; inside it must be in the cache.
// out is told when it takes long.
func ModelDisk(ctx context.Context, cache string, out io.Writer) (string, error) {
	path, err := modeldisk.Cached(cache)
	if err == nil || !errors.Is(err, modeldisk.ErrNotMade) {
		return path, err
	}
	mirrors, err := build.MachineMirrors(ctx)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(out, "Making the model disk from Debian packages: a minute or two, once.\n")
	return modeldisk.Ensure(ctx, modeldisk.Config{Cache: cache, Mirror: mirrors.Main, Log: slog.New(slog.DiscardHandler)})
}
