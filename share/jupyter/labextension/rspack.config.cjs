/**
 * What the builder lays over its own configuration, so that a build is the same wherever the
 * sources lie: without it one module gets a number made from its absolute path.
 */
module.exports = {
  optimization: { moduleIds: 'natural', chunkIds: 'natural' }
};
