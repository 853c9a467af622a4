// Koop over the GeoJSON files of one folder: node server.js PORT (the folder is ./geojson of the working directory).
const Koop = require('@koopjs/koop-core');
const files = require('@koopjs/provider-file-geojson');

const koop = new Koop({ logLevel: 'error' });
koop.register(files, { dataDir: 'geojson' });
koop.server.listen(Number(process.argv[2]), '127.0.0.1');
