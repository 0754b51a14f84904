// What the page needs of three.js, as one file without modules. Made anew with:
//   npm install three@0.187.0 esbuild
//   npx esbuild bundle.js --bundle --minify --format=iife --banner:js="/* three.js 0.187.0, MIT licence, see three.LICENSE */" --outfile=three.min.js
import {
  AmbientLight, CylinderGeometry, DirectionalLight, GridHelper, Mesh, MeshLambertMaterial, PerspectiveCamera, Scene,
  SphereGeometry, Vector3, WebGLRenderer,
} from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";

globalThis.THREE = {
  AmbientLight, CylinderGeometry, DirectionalLight, GridHelper, Mesh, MeshLambertMaterial, OrbitControls,
  PerspectiveCamera, Scene, SphereGeometry, Vector3, WebGLRenderer,
};
