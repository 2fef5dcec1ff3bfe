// danfojs-node loads this at start; only its readExcel and toExcel would call into it.
module.exports = {};
