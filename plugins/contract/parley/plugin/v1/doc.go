// Package pluginv1 is version 1 of the contract between Parley and its plugins, as Go code
// generated from plugin.proto, where every message is explained. It promises what the released
// .proto file promises: fields and frames are added, never changed or removed. The order of frames
// and their effects are implemented by core/pluginhost on one side and plugins/sdk on the other.
package pluginv1
