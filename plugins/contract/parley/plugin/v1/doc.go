// Package pluginv1 is version 1 of the contract between Parley and its
// plugins, as Go code generated from plugin.proto, where every message is
// explained. It promises what the released .proto file promises: fields and
// frames are added, never changed or taken away. What the frames mean in order
// is left to core/pluginhost on one side and plugins/sdk on the other.
package pluginv1
