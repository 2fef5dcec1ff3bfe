// An S3 server with the bucket imagesim-storage in the folder given, on a free port of loopback; prints its address.
import { openBucket } from '../../test/bucket.ts';

const { endpoint } = await openBucket(process.argv[2]);
console.log(endpoint);
