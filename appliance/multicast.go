package appliance

import (
	"context"
	"log/slog"

	"aula/imagestore/multicast/igmp"
)

// keepMulticastForwarded runs the IGMP querier on the classroom's NIC until ctx ends. A server that may not be one still does all
// else: that there is none is a warning.
func keepMulticastForwarded(ctx context.Context, nic string, log *slog.Logger) {
	querier := igmp.Querier{Interface: nic, Log: log}
	if err := querier.Run(ctx); err != nil {
		log.Warn("no IGMP querier: switches with IGMP snooping may stop multicast after minutes", "interface", nic, "error", err)
	}
}
